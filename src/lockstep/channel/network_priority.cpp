// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/network_priority.h"

#include <algorithm>
#include <utility>

#include "base/thread_priority.h"

namespace fmvm::lockstep {

namespace {

constexpr int urgent_niceness = -15;

// Of the calling thread, whichever of its connections asks.
void set_urgent(bool urgent) {
    static thread_local const int usual = niceness_of(0);
    static thread_local bool is_urgent = false;
    if (urgent == is_urgent) return;
    is_urgent = urgent;
    set_niceness(0, urgent ? std::min(usual, urgent_niceness) : usual);
}

}  // namespace

void NetworkPriority::judge(TimePoint now, Duration interval, std::size_t queued_bytes) {
    if (now - judged_at_ < interval) return;
    judged_at_ = now;
    const bool bulk = std::exchange(moved_bytes_, 0) >= bulk_bytes || queued_bytes >= bulk_bytes;
    quiet_intervals_ = bulk ? 0 : quiet_intervals_ + 1;
    set_urgent(is_quiet());
}

void NetworkPriority::end() {
    set_urgent(false);
}

}  // namespace fmvm::lockstep
