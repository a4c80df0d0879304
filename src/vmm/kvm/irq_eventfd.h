// SPDX-License-Identifier: Apache-2.0
// IrqLine over a KVM irqfd.
#pragma once

#include "base/unique_fd.h"
#include "vmm/board/device.h"

namespace fmvm {

class IrqEventFd : public IrqLine {
  public:
    explicit IrqEventFd(UniqueFd event) : event_(std::move(event)) {}
    void raise() override;

  private:
    UniqueFd event_;
};

}  // namespace fmvm
