// SPDX-License-Identifier: Apache-2.0
// Runs the comparisons (Verification) that an operator asks for on one connection, one at a time:
// begins them at the source of checkpoints, has them go on beside the epochs, and tells the host
// their progress and outcome.
//
// Threads: the replication thread.
#pragma once

#include <chrono>
#include <optional>

#include "base/result.h"
#include "lockstep/checkpoint/checkpoint_source.h"
#include "lockstep/primary/primary_host.h"
#include "lockstep/primary/verification.h"

namespace fmvm::lockstep {

class Verifier {
  public:
    using TimePoint = PrimaryHost::TimePoint;

    // Source and host outlive this. A comparison that makes no progress for `patience` ends.
    Verifier(CheckpointSource& source, PrimaryHost& host, TimePoint::duration patience)
        : source_(source), host_(host), patience_(patience) {}

    // Begins a comparison. PrimaryHost::verified() brings its outcome, unless this is an error.
    // memory_epoch: the next cut, which compares memory.
    Result<void> begin(const VerifyOptions& options, EpochId memory_epoch);
    bool is_active() const { return comparison_.has_value(); }
    // When there may be something to send, or an outcome; max(): nothing is compared.
    TimePoint due() const;
    // Between the commit of `epoch` and the next cut: the next message, or an empty one.
    OutgoingMessage next(EpochId epoch);
    void acknowledged(EpochId epoch);
    // An answer of the backup. One to a comparison that has ended already is no error.
    Result<void> checked(const Frame& frame);
    // Tells the progress, and ends the comparison if it has an outcome.
    void look();
    // Ends the comparison, if there is one, with this outcome.
    void end(const VerifyOutcome& outcome);

  private:
    CheckpointSource& source_;
    PrimaryHost& host_;
    TimePoint::duration patience_;
    std::optional<Verification> comparison_;
};

}  // namespace fmvm::lockstep
