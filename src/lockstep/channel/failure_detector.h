// SPDX-License-Identifier: Apache-2.0
// Decides that a silent peer is lost. Anything that arrives is a sign of life, bulk data too.
//
// The clock that counts is ours, so a pause of our own must not count as the peer's: when we missed
// a look (a frozen process, an overloaded host), the peer has its full time again.
//
// Pure: time comes in as arguments. `heard`: when the last sign of life came.
#pragma once

#include <algorithm>
#include <chrono>

namespace fmvm::lockstep {

class FailureDetector {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    using Duration = std::chrono::steady_clock::duration;

    FailureDetector(Duration lost_after, TimePoint now)
        : lost_after_(lost_after), begun_(now), looked_(now) {}

    bool is_lost(TimePoint now, TimePoint heard) {
        const bool late = now - looked_ > 2 * look_every();
        looked_ = now;
        if (late) begun_ = now;
        return now >= silent_until(heard);
    }

    // When is_lost() is to be asked next, or earlier.
    TimePoint next_look(TimePoint heard) const {
        return std::min(looked_ + look_every(), silent_until(heard));
    }

  private:
    // Longer than the usual time between cuts, at which is_lost() is asked anyway.
    Duration look_every() const { return lost_after_ / 3; }
    TimePoint silent_until(TimePoint heard) const { return std::max(begun_, heard) + lost_after_; }

    Duration lost_after_;
    TimePoint begun_;  // the peer's time, at the beginning or again
    TimePoint looked_;
};

}  // namespace fmvm::lockstep
