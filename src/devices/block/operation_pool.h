// SPDX-License-Identifier: Apache-2.0
// The operations that a decorator hands down in the place of those it was given. They are used
// again and again, so that a request costs no allocation, and keep their addresses.
//
// Threads: as BlockBackend.
#pragma once

#include <memory>
#include <vector>

namespace fmvm {

// Operation: derived from BlockOperation.
template <typename Operation>
class OperationPool {
  public:
    // It is as its last user left it.
    Operation& take() {
        if (unused_.empty()) {
            all_.push_back(std::make_unique<Operation>());
            return *all_.back();
        }
        Operation& operation = *unused_.back();
        unused_.pop_back();
        return operation;
    }
    void give_back(Operation& operation) { unused_.push_back(&operation); }

  private:
    std::vector<std::unique_ptr<Operation>> all_;
    std::vector<Operation*> unused_;
};

}  // namespace fmvm
