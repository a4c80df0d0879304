// SPDX-License-Identifier: Apache-2.0
// What holds output of an epoch until the backup has committed it, in pieces that the guest waits
// for: writes to a shared disk (write_gate.h), packets (packet_gate.h). The console's bytes have
// positions instead (console_gate.h).
//
// Threads: hold() and close_epoch() while the loop stands; commit(), open() and the questions from
// any; ask_again() on the loop thread. Handlers are set before the machine starts, or while it
// stands.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

class EpochGate {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    virtual ~EpochGate() = default;

    // Called on the loop thread when something begins to wait that no cut has taken yet.
    virtual void on_waiting(std::function<void()> handler) = 0;
    virtual std::optional<TimePoint> waiting_since() const = 0;
    // A request to a disk waits here, be it of a cut epoch or not.
    virtual bool holds_disk_requests() const = 0;

    // Asked on the loop thread right before output of a committed epoch goes, and must not wait
    // there: whether this side may still emit it. If not, it waits until ask_again() or the next
    // commit.
    virtual void require_permit(std::function<bool()> permit) = 0;
    // The permit may be granted now.
    virtual void ask_again() = 0;

    // Output waits from now on.
    virtual void hold() = 0;
    // What waits now belongs to this epoch.
    virtual void close_epoch(EpochId epoch) = 0;
    // The output of this epoch and those before may go.
    virtual void commit(EpochId epoch) = 0;
    // All output may go, now and from now on.
    virtual void open() = 0;
};

}  // namespace fmvm::lockstep
