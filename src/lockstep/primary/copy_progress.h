// SPDX-License-Identifier: Apache-2.0
// Whether a backup takes what it is sent of the initial copy. Until it is in step the guest is
// unprotected, and must not be held for long by a peer that gives signs of life and reads nothing:
// what the guest changes on its disks waits in memory that is limited. A slow peer slows the guest;
// one that takes less than `step` in `patience` is given up.
//
// Pure: time comes in as arguments.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/units.h"

namespace fmvm::lockstep {

class CopyProgress {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    static constexpr std::chrono::seconds patience{5};
    static constexpr std::size_t step = 256 * kib;

    // So many bytes wait to be sent; full: no more may be added. True: the peer is to be given up.
    bool stalls(TimePoint now, std::size_t queued, bool full) {
        if (!full) {
            drained();
        } else if (since_ == TimePoint::max() || queued + step <= queued_) {
            since_ = now;
            queued_ = queued;
        }
        return full && now - since_ >= patience;
    }
    // More may be added again.
    void drained() { since_ = TimePoint::max(); }
    // When stalls() is to be asked next; max(): not by itself.
    TimePoint deadline() const { return since_ == TimePoint::max() ? since_ : since_ + patience; }

  private:
    TimePoint since_ = TimePoint::max();  // the queue is full, and has shrunk last
    std::size_t queued_ = 0;              // at that time
};

}  // namespace fmvm::lockstep
