// SPDX-License-Identifier: Apache-2.0
// Chooses the priority of the network thread. On a busy host a sign of life must not wait for its
// turn, so the thread goes first while a connection is quiet. While bulk data moves it does not:
// each piece of bulk is a sign of life, and the guest needs the CPU, too. Without the permission to
// raise a priority nothing changes.
//
// Threads: the network thread.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/units.h"

namespace fmvm::lockstep {

class NetworkPriority {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    using Duration = std::chrono::steady_clock::duration;

    // What moves or waits within an interval is bulk from here on.
    static constexpr std::size_t bulk_bytes = 1 * mib;
    // Epochs leave gaps in bulk, so a connection is quiet only after so many intervals without.
    static constexpr unsigned quiet_intervals_min = 16;

    // Bytes were sent or received.
    void moved(std::size_t bytes) { moved_bytes_ += bytes; }
    // Judges what has moved since the last time, once an interval at most, and sets the priority.
    void judge(TimePoint now, Duration interval, std::size_t queued_bytes);
    // The connection has ended: the thread gets its usual priority.
    static void end();

    bool is_quiet() const { return quiet_intervals_ >= quiet_intervals_min; }

  private:
    std::size_t moved_bytes_ = 0;  // since judged_at_
    TimePoint judged_at_{};
    unsigned quiet_intervals_ = quiet_intervals_min;
};

}  // namespace fmvm::lockstep
