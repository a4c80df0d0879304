// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/hang_watchdog.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace fmvm::lockstep {

bool HangWatchdog::is_stuck(TimePoint now) {
    if (waits_for_answer_) return now - std::max(asked_at_, seen_at_.load()) >= stuck_after_;
    if (now - asked_at_ < stuck_after_ / questions_per_limit) return false;
    asked_at_ = now;
    waits_for_answer_ = true;
    boost::asio::post(user_, tasks_.bind([this] { waits_for_answer_ = false; }));
    return false;
}

}  // namespace fmvm::lockstep
