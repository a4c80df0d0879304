// SPDX-License-Identifier: Apache-2.0
// One comparison of a protected guest with its backup, which an operator asks for (`fmvm verify`).
// It compares all of memory and state at the next cut, as verify mode does, and all of the disks
// that the backup has copies of, while the guest runs.
//
// A backup never says "memory is equal". One that differs says that it is unfit before it
// acknowledges a later epoch.
//
// Pure: time comes in as arguments. Threads: the replication thread.
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
    std::uint64_t bytes_per_second = 64 * mib;  // read from the disks, at most
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

    // disks: compares them, and they outlive this; null: no disks are compared. memory_epoch: the
    // cut that has digests of memory; 0: memory is not compared. patience: a comparison that makes
    // no progress for so long ends unfinished.
    Verification(replay::Scrubber* disks, EpochId memory_epoch, Duration patience, TimePoint now)
        : disks_(disks),
          memory_epoch_(memory_epoch),
          patience_(patience),
          began_(now),
          advanced_(now) {}

    // Between the commit of `epoch` and the next cut: the next message, or an empty one if none is
    // due.
    Result<OutgoingMessage> next(EpochId epoch, TimePoint now);
    void acknowledged(EpochId epoch, TimePoint now);
    Result<void> checked(const Frame& frame, TimePoint now);

    // When next() or outcome() may have something new.
    TimePoint due() const;
    // How the comparison ended; nothing while it goes on.
    std::optional<VerifyOutcome> outcome(TimePoint now) const;
    // How much of the disks is compared.
    replay::ScrubProgress progress() const;

  private:
    VerifyOutcome equal(TimePoint now) const;
    std::string why_unfinished() const;

    replay::Scrubber* disks_;  // null: no disks are compared
    EpochId memory_epoch_;     // its cut has the digests; 0: memory is equal, or not compared
    Duration patience_;
    TimePoint began_;
    TimePoint advanced_;  // when the comparison last made progress
    bool memory_compared_ = false;
};

}  // namespace fmvm::lockstep
