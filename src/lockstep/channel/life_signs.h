// SPDX-License-Identifier: Apache-2.0
// One end of a lifeline without its socket, thread and clock: which sign is sent when, and what a
// sign of the peer may say.
//
// The side that leads asks for an answer once an interval; the other one answers at once, and asks
// by itself only when the leading side is late (heartbeat.h). Either may ask at any time.
//
// Pure: time comes in as arguments. Not thread-safe. Nothing here allocates, but for an error.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "lockstep/channel/heartbeat.h"
#include "lockstep/channel/permit_half.h"
#include "lockstep/channel/sign.h"

namespace fmvm::lockstep {

class LifeSigns {
  public:
    using TimePoint = Heartbeat::TimePoint;
    static constexpr unsigned signs_a_second_max = 20'000;

    // The half outlives this.
    LifeSigns(const Heartbeat& heartbeat, PermitHalf& half) : heartbeat_(heartbeat), half_(half) {}

    // The sign that is sent now. `boot_now` was read before.
    Sign send(bool asks, const WorkDone& work, TimePoint now, BootTime boot_now);
    // One has come; `boot_now` was read after that. An error, one sentence: it is not true, or
    // there are too many of them for a thread that goes before all others.
    Result<void> receive(const Sign& sign, BootTime boot_now);

    // A sign that asks is due. When that is to be looked at next.
    bool is_due(TimePoint now) const { return heartbeat_.is_due(now); }
    TimePoint due_at() const { return heartbeat_.due_at(); }
    // Of the peer's newest sign; 0 before the first.
    std::uint64_t peer_number() const { return newest_.number; }

  private:
    Heartbeat heartbeat_;
    PermitHalf& half_;
    std::uint64_t sent_ = 0;  // number of this side's newest sign
    std::uint64_t echo_ = 0;
    Sign newest_;  // of the peer
    BootTime counted_since_{0};
    unsigned counted_ = 0;  // signs of the peer since then
};

}  // namespace fmvm::lockstep
