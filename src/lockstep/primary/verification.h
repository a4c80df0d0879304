// SPDX-License-Identifier: Apache-2.0
// One comparison of a protected guest with its backup, asked for by an operator (`fmvm verify`):
// all of memory and state at the next cut, as verify mode does, and all of the disks of which the
// backup has its own, beside the running guest.
//
// The backup never says "memory is equal"; one that differs says that it is unfit, before it
// acknowledges a later epoch.
//
// No sockets, clocks or threads; on the replication thread, as a part of Primary.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "lockstep/wire/messages.h"
#include "lockstep/wire/outgoing_message.h"
#include "replay/scrub/scrubber.h"

namespace fmvm::lockstep {

struct VerifyOptions {
    bool memory = true;
    bool disks = true;
    std::uint64_t bytes_per_second = 64 * mib;  // of disks, at most
};

struct VerifyOutcome {
    enum class Kind { equal, different, unfinished };
    Kind kind = Kind::unfinished;
    std::string text;  // one sentence
};

class Verification {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    using Duration = std::chrono::steady_clock::duration;

    // Begins. disks: they are compared, and outlive this; null: they are not. memory_epoch: the cut
    // that is to have digests of memory; 0: none. patience: without any progress for so long, it
    // ends unfinished.
    Verification(replay::Scrubber* disks, EpochId memory_epoch, Duration patience, TimePoint now)
        : disks_(disks),
          memory_epoch_(memory_epoch),
          patience_(patience),
          began_(now),
          advanced_(now) {}

    // Between the commit of `epoch` and the next cut: the next message; empty when none is due.
    Result<OutgoingMessage> next(EpochId epoch, TimePoint now);
    void acknowledged(EpochId epoch, TimePoint now);
    Result<void> checked(const Frame& frame, TimePoint now);

    // When next() or outcome() may have something.
    TimePoint due() const;
    // How it ended; nothing while it goes on.
    std::optional<VerifyOutcome> outcome(TimePoint now) const;
    // Of disks, as far as they are compared.
    replay::ScrubProgress progress() const;

  private:
    VerifyOutcome equal(TimePoint now) const;
    std::string why_unfinished() const;

    replay::Scrubber* disks_;  // null: they are not compared
    EpochId memory_epoch_;     // whose cut has the digests; 0: known to be equal, or not asked for
    Duration patience_;
    TimePoint began_;
    TimePoint advanced_;  // when the backup said last that something is equal
    bool memory_compared_ = false;
};

}  // namespace fmvm::lockstep
