// SPDX-License-Identifier: Apache-2.0
// Decides that a silent peer is lost. Anything that arrives is a sign of life, bulk data too.
//
// The clock that counts is ours, so a pause of our own must not count as the peer's: when we come
// late to look (a frozen process, an overloaded host), the peer has its full time again.
//
// Pure: time comes in as arguments.
#pragma once

#include <chrono>

namespace fmvm::lockstep {

class FailureDetector {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    using Duration = std::chrono::steady_clock::duration;

    // look_every: how often is_lost() will be asked.
    FailureDetector(Duration lost_after, Duration look_every, TimePoint now)
        : lost_after_(lost_after), look_every_(look_every), heard_(now), looked_(now) {}

    void heard(TimePoint now) { heard_ = now; }

    bool is_lost(TimePoint now) {
        const bool late = now - looked_ > look_every_ + lost_after_ / 2;
        looked_ = now;
        if (late) heard_ = now;
        return now - heard_ > lost_after_;
    }

  private:
    Duration lost_after_;
    Duration look_every_;
    TimePoint heard_;
    TimePoint looked_;
};

}  // namespace fmvm::lockstep
