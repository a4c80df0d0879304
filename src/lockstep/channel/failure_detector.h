// SPDX-License-Identifier: Apache-2.0
// Decides that a silent peer is lost. Anything that arrives is a sign of life, including bulk data.
//
// Silence is measured by this side's clock, so a pause of this side must not count as the peer's.
// When this side missed a look (its process was frozen, its host overloaded), the peer gets its
// full time again.
//
// Pure: time comes in as arguments. `heard` is when the last sign of life came.
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

    // The latest time at which is_lost() has to be asked next.
    TimePoint next_look(TimePoint heard) const {
        return std::min(looked_ + look_every(), silent_until(heard));
    }

  private:
    // Longer than the usual time between two cuts, because each cut asks is_lost() anyway.
    Duration look_every() const { return lost_after_ / 3; }
    TimePoint silent_until(TimePoint heard) const { return std::max(begun_, heard) + lost_after_; }

    Duration lost_after_;
    TimePoint begun_;  // when the peer last got its full time
    TimePoint looked_;
};

}  // namespace fmvm::lockstep
