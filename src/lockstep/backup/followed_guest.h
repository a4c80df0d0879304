// SPDX-License-Identifier: Apache-2.0
// A primary's guest as its backup holds it, from the hello until the copy is discarded or runs:
// what the primary said of it, the copy (shadow.h), and whether the copy is worth anything.
//
//     fit --the copy differs from the primary's guest, or its disks fail--> unfit
//
// An unfit copy must not be taken over.
//
// Threads: the replication thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/backup/backup_host.h"
#include "lockstep/backup/primary_link.h"
#include "lockstep/backup/shadow.h"
#include "lockstep/channel/claim_gate.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

class FollowedGuest {
  public:
    using TimePoint = BackupHost::TimePoint;

    FollowedGuest(HelloMessage hello, std::string primary, const BackupHost::Prepared& prepared);

    const std::string& primary() const { return primary_; }  // for messages
    const VmId& vm() const { return hello_.vm; }
    Generation generation() const { return hello_.generation; }
    // That of the side which goes on without the other.
    Generation next_generation() const { return hello_.generation + 1; }
    // An epoch is acknowledged only when the disks hold it on stable storage.
    bool is_durable() const { return hello_.durable; }
    bool is_fit() const { return fit_; }
    const Shadow& shadow() const { return shadow_; }
    // What the primary's signs of life are promised.
    ClaimGate& gate() { return gate_; }
    std::chrono::milliseconds lost_after() const {
        return std::chrono::milliseconds(hello_.lost_after_ms);
    }
    std::chrono::milliseconds heartbeat() const {
        return std::chrono::milliseconds(hello_.heartbeat_ms);
    }

    // What this side knows of its own disks: the first messages to the primary.
    std::vector<OutgoingMessage> known_disks();

    // Another connection joins the primary's. An error, one sentence for it: it does not belong
    // there.
    Result<void> join(const JoinMessage& join, PrimaryLink& primary) const;

    // Messages of the primary. An error refuses the primary; the copy may have become unfit by it.
    // A message about pages, disks, state or output that fits the state; or one that this side
    // does not know and may skip. Answers go to `primary`.
    Result<void> receive(Frame frame, PrimaryLink& primary, TimePoint now);
    Result<void> commit(const CommitMessage& commit);
    // What the primary is told when its epoch is committed.
    std::vector<OutgoingMessage> acknowledge(EpochId epoch);
    // Brings the copy up to the epoch that was committed last.
    Result<void> apply();
    // The primary has shown everything before this position.
    void shown(std::uint64_t position) { shadow_.shown(position); }
    // The guest has ended on the primary: others may use the disks again.
    Result<void> release_disks();

    // Whether the disks are done with all that was replayed; does not wait. On an error the copy is
    // unfit.
    Result<bool> disks_idle();
    // The copy is given up: whether its disks have let go of it; does not wait.
    bool disks_at_rest() { return shadow_.disks_at_rest(); }

  private:
    Result<void> stage(Frame frame, TimePoint now);
    Result<void> make_disks_equal(const Frame& frame, PrimaryLink& primary);
    Result<void> keep_packet(const Frame& frame);
    Result<void> compare_disks(const Frame& frame, PrimaryLink& primary);
    Result<void> fit_if(Result<void> result);

    const HelloMessage hello_;
    const std::string primary_;
    ShadowDisks* const disks_;  // this side's own disks, or null if it has none
    Shadow shadow_;
    ClaimGate gate_;
    std::optional<TimePoint> epoch_began_;  // to arrive; none: no epoch is under way
    bool fit_ = true;
};

}  // namespace fmvm::lockstep
