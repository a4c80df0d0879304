// SPDX-License-Identifier: Apache-2.0
// Protects the guest through one connection: the initial copy, then epoch after epoch until the
// last one, with comparisons between them when an operator asks for one. What the backup
// acknowledges is released.
//
// It sends one message, or makes one cut, at a time: its user asks for the next one while the
// channel has room. An error is a failure of this host; the guest is not protected any further.
//
// Threads: the replication thread.
#pragma once

#include <chrono>
#include <optional>

#include "base/result.h"
#include "base/trouble.h"
#include "lockstep/channel/channel.h"
#include "lockstep/checkpoint/checkpoint_source.h"
#include "lockstep/output/pair_permit.h"
#include "lockstep/primary/ending.h"
#include "lockstep/primary/epoch_policy.h"
#include "lockstep/primary/epoch_sender.h"
#include "lockstep/primary/primary_host.h"
#include "lockstep/primary/verifier.h"
#include "lockstep/stats/epoch_stats.h"

namespace fmvm::lockstep {

// The parts of a primary that outlive a connection.
struct PrimaryParts {
    CheckpointSource& source;
    ConsoleGate& gate;
    EpochStats& stats;
    EpochPolicy& policy;
    Ending& ending;
    PairPermit& permit;
};

class Protection {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;

    // All of them outlive this.
    Protection(Channel& channel, EpochSender& epochs, Verifier& verifier, const PrimaryParts& parts,
               PrimaryHost& host)
        : channel_(channel), epochs_(epochs), verifier_(verifier), parts_(parts), host_(host) {}

    // How the initial copy goes on: a message was sent, there is none to be sent now, or what is
    // left is little enough for the first cut.
    enum class Copied { message, nothing, enough };
    Result<Copied> copy();
    // After the initial copy. The next cut, or the last one if the guest's end is under way.
    Result<void> cut();
    // After the first cut: does one thing. False: there is nothing to do now.
    Result<bool> follow();
    // When copy() or follow() may have something to do; max(): after an event only.
    TimePoint next_work() const;

    // Sends what network cards have taken from outside, in or after whichever epoch. What finds too
    // much before it is left out: nobody waits for it.
    void forward_packets();

    // The backup has committed an epoch. An error is the backup's.
    Result<void> acknowledged(EpochId epoch);
    // The backup has all of the guest, which stands.
    bool last_epoch_acknowledged() const;
    // Since the first acknowledgement.
    std::optional<TimePoint> in_step_since() const { return in_step_since_; }

    // An initial copy that takes longer is told of.
    static constexpr std::chrono::seconds long_copy{10};

  private:
    void tell_progress();
    bool may_cut() const;
    bool may_verify() const;
    bool is_cut_due();
    std::optional<TimePoint> output_waiting_since() const;
    void send(OutgoingMessage message);

    Channel& channel_;
    EpochSender& epochs_;
    Verifier& verifier_;
    const PrimaryParts parts_;
    PrimaryHost& host_;
    std::optional<TimePoint> in_step_since_;
    Trouble unprotected_{long_copy};           // until the first acknowledgement
    TimePoint look_again_ = TimePoint::max();  // what is waited for gives no sign; max(): nothing
};

}  // namespace fmvm::lockstep
