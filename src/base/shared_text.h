// SPDX-License-Identifier: Apache-2.0
// A text that one thread writes anew and others read.
//
// Threads: any.
#pragma once

#include <string>
#include <utility>

#include "base/mutex.h"

namespace fmvm {

class SharedText {
  public:
    void set(std::string text) {
        const Lock lock(mutex_);
        text_ = std::move(text);
    }
    std::string get() const {
        const Lock lock(mutex_);
        return text_;
    }

  private:
    mutable Mutex mutex_;
    std::string text_ FMVM_GUARDED_BY(mutex_);
};

}  // namespace fmvm
