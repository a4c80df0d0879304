// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/signs_of_life.h"

#include <algorithm>

#include "base/check.h"

namespace fmvm::lockstep {

void SignsOfLife::begin(const Heartbeat& heartbeat) {
    FMVM_CHECK(heartbeat.begun());
    heartbeat_ = heartbeat;
    wait(std::chrono::steady_clock::now());
}

void SignsOfLife::end() {
    heartbeat_ = Heartbeat();
    timer_.cancel();
}

// What was sent moves the time at which a sign is due. Setting the timer anew is cheaper than a
// wake-up that comes too early, but not after every frame.
void SignsOfLife::sent(Heartbeat::TimePoint now) {
    heartbeat_.sent(now);
    if (!heartbeat_.begun() || now - set_at_ < rest()) return;
    wait(now);
    look_(now, false);
}

void SignsOfLife::wait(Heartbeat::TimePoint now) {
    set_at_ = now;
    // While one long write is under way a sign is overdue all the time, so the timer rests.
    timer_.expires_at(std::max(heartbeat_.due_at(), now + rest()));
    timer_.async_wait(tasks_.bind([this](const boost::system::error_code& error) {
        if (error || !heartbeat_.begun()) return;
        const Heartbeat::TimePoint at = std::chrono::steady_clock::now();
        look_(at, heartbeat_.is_due(at));
        if (heartbeat_.begun()) wait(at);
    }));
}

}  // namespace fmvm::lockstep
