// SPDX-License-Identifier: Apache-2.0
// The connection beside a channel that carries signs of life (docs/life.md). It is an interface, so
// that the simulation can delay and lose them.
//
// Threads: the user's thread (the replication thread). Destroying a lifeline ends it: the peer sees
// a closed connection, and nobody is told any more.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "lockstep/channel/heartbeat.h"
#include "lockstep/channel/permit_half.h"
#include "lockstep/channel/sign.h"

namespace fmvm::lockstep {

class Lifeline {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;

    // How one lives, whoever made it.
    struct Terms {
        std::chrono::milliseconds interval;  // between two signs that ask
        Heartbeat::Role role;
        PermitHalf& half;  // outlives the lifeline
        // Called once, on the user's thread and not from within a call to the lifeline: the
        // connection is gone, or was never made, for this reason: one sentence.
        std::function<void(const std::string& reason)> lost;
    };

    virtual ~Lifeline() = default;
    // When the newest sign of the peer came; nothing before the first one.
    virtual std::optional<TimePoint> last_sign() const = 0;
    // What that sign says of the peer's working thread.
    virtual WorkDone peer_work() const = 0;
    // What the signs of this side say of its own from now on: WorkDone::handled.
    virtual void handled(std::uint64_t bytes) = 0;
};

}  // namespace fmvm::lockstep
