// SPDX-License-Identifier: Apache-2.0
// The named timers of a state machine that has no clock of its own: of each, the moment at which it
// expires, or never. The owner reports the earliest and is called then.
//
// `Timer` is an enum whose values count from 0.
//
// Threads: none; timers belong to whoever drives them.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>

namespace fmvm {

template <typename Timer, std::size_t count>
class Timers {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    static constexpr TimePoint never = TimePoint::max();

    Timers() { clear(); }

    void set(Timer timer, TimePoint at) { times_.at(index(timer)) = at; }
    void clear(Timer timer) { set(timer, never); }
    void clear() { times_.fill(never); }

    bool is_set(Timer timer) const { return at(timer) != never; }
    TimePoint at(Timer timer) const { return times_.at(index(timer)); }
    TimePoint earliest() const { return std::ranges::min(times_); }
    // Whether its moment has come; then it is cleared.
    bool expired(Timer timer, TimePoint now) {
        if (!is_set(timer) || now < at(timer)) return false;
        clear(timer);
        return true;
    }

  private:
    static constexpr std::size_t index(Timer timer) { return static_cast<std::size_t>(timer); }
    std::array<TimePoint, count> times_;
};

}  // namespace fmvm
