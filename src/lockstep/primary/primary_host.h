// SPDX-License-Identifier: Apache-2.0
// What the primary's state machine needs of the world around it: a clock, an arbiter, somebody who
// makes connections, and somebody to tell. The service implements it for a process, the simulation
// for its own world.
//
// Threads: the replication thread. Calls come from within calls to Primary, and must not call
// Primary back.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "lockstep/arbiter/generation.h"
#include "lockstep/channel/lifeline.h"
#include "lockstep/primary/verification.h"

namespace fmvm::lockstep {

// Why the guest does not run here any more.
enum class PrimaryEnd {
    guest_ended,  // and the backup knows
    handed_over,  // by a switchover: the guest runs on the backup
    superseded,   // another side has won a newer generation; this side emitted nothing after that
    backup_lost,  // on_backup_lost = stop
    failed,       // this host cannot capture the machine
};

class PrimaryHost {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    virtual ~PrimaryHost() = default;
    virtual TimePoint now() = 0;
    // Asks the arbiter. Primary::claimed() brings the answer later, once.
    virtual void claim(Generation generation) = 0;
    // Has the arbiter try a claim out. Primary::claim_tried() brings the answer later, or never.
    virtual void try_claim() = 0;
    // Joins the channel to this backup (its address and port) by a lifeline. Does not wait: that it
    // cannot be joined is told by the terms. An error is this host's.
    virtual Result<std::unique_ptr<Lifeline>> join(const std::string& backup,
                                                   const JoinMessage& join,
                                                   Lifeline::Terms terms) = 0;
    // A backup has accepted this side, and is being brought in step: by this the sentinel joins
    // their channel. It counts until want_connection() or finished().
    virtual void welcomed(const JoinMessage& /*sentinel*/) {}
    // A switchover that was asked for does not come about: the guest stays here, for this reason.
    virtual void stays(const std::string& why) = 0;
    // This side runs under a new generation from now on.
    virtual void generation_changed(Generation generation) = 0;
    // Writes the released console output, and waits a short while for that. The guest stands.
    virtual void drain_output() = 0;
    // The progress of the initial copy, for people.
    virtual void copying(const std::string&) {}
    // It is over: the backup is in step, or lost.
    virtual void copied() {}
    // The progress of a comparison, and its outcome.
    virtual void verifying(const replay::ScrubProgress&) {}
    virtual void verified(const VerifyOutcome&) {}
    // There is no backup. Tries to connect to one, after this time.
    virtual void want_connection(TimePoint::duration after) = 0;
    // The guest must not run here any more. The last call, once. `why` is one sentence.
    virtual void finished(PrimaryEnd end, const std::string& why) = 0;
};

}  // namespace fmvm::lockstep
