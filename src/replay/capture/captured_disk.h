// SPDX-License-Identifier: Apache-2.0
// What the block log asks of a disk whose requests it captures.
#pragma once

#include <memory>
#include <vector>

#include "replay/capture/logged_request.h"

namespace fmvm::replay {

class CapturedDisk {
  public:
    // Nothing that is in flight now reaches the log. While the loop stands.
    virtual void forget_captures() = 0;
    // Appends the captured writes that the disk has not completed. While the loop stands.
    virtual void add_writes_in_flight(std::vector<std::shared_ptr<WritePayload>>& writes) const = 0;
    // Requests that waited for room in the log may go on. Any thread.
    virtual void wake() = 0;

  protected:
    ~CapturedDisk() = default;
};

}  // namespace fmvm::replay
