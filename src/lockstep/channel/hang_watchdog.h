// SPDX-License-Identifier: Apache-2.0
// Notices that the user of a channel hangs, in a system call on its disk, say. Such a user is as
// good as dead: its channel gives no more signs of life, so that the peer decides.
//
// The watchdog posts a question to the user's loop. A user that neither answers it nor reads a
// frame for `stuck_after` counts as stuck, until it answers.
#pragma once

#include <atomic>
#include <chrono>

#include "vmm/loop/task_scope.h"

namespace boost::asio {
class io_context;
}

namespace fmvm::lockstep {

class HangWatchdog {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;

    // Any thread creates and destroys it. The user's loop outlives it.
    HangWatchdog(boost::asio::io_context& user, std::chrono::milliseconds stuck_after)
        : user_(user), stuck_after_(stuck_after) {}

    // Network thread. Asks the user now and then.
    bool is_stuck(TimePoint now);
    // User's thread: it has come to a handler.
    void saw_user(TimePoint now) { seen_at_ = now; }

  private:
    static constexpr int questions_per_limit = 60;

    boost::asio::io_context& user_;
    const std::chrono::milliseconds stuck_after_;
    std::atomic<bool> waits_for_answer_{false};
    TimePoint asked_at_{};
    std::atomic<TimePoint> seen_at_{TimePoint{}};
    TaskScope tasks_;  // last: its tasks use the rest
};

}  // namespace fmvm::lockstep
