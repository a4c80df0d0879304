// SPDX-License-Identifier: Apache-2.0
// The primary's side of the protocol as a state machine: no sockets, threads or clocks of its own,
// so that the simulation runs the very same code. docs/protocol.md ("The primary") draws the states
// and says what each is for; primary_state.h has the transitions.
//
// Before a commit was sent there is nothing that a backup could take over, so losing it leaves the
// guest running without further ado. After that, this side runs on alone only when it has won the
// next generation.
//
// Threads: the replication thread. Every event may change deadline(); the driver looks at it after
// each call.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "lockstep/arbiter/arbiter.h"
#include "lockstep/arbiter/claiming.h"
#include "lockstep/channel/channel.h"
#include "lockstep/checkpoint/checkpoint_source.h"
#include "lockstep/primary/backup_search.h"
#include "lockstep/primary/ending.h"
#include "lockstep/primary/epoch_policy.h"
#include "lockstep/primary/link.h"
#include "lockstep/primary/primary_host.h"
#include "lockstep/primary/primary_options.h"
#include "lockstep/primary/primary_state.h"
#include "lockstep/primary/switch_over.h"
#include "lockstep/stats/epoch_stats.h"

namespace fmvm::lockstep {

class Primary : public ChannelUser {
  public:
    using TimePoint = PrimaryHost::TimePoint;
    using State = PrimaryState;

    // Source, gate, stats, permit and host outlive this.
    Primary(const PrimaryOptions& options, CheckpointSource& source, ConsoleGate& gate,
            EpochStats& stats, PairPermit& permit, PrimaryHost& host);
    ~Primary() override;

    State state() const { return state_.state(); }

    // A connection to somebody who may be a backup.
    void connected(std::unique_ptr<Channel> channel);
    // There is none to this address, for this reason: one sentence.
    void not_connected(const std::string& peer, const std::string& reason);
    // Moves the guest to the backup on purpose: when both sides could claim, the guest stands.
    // Unless this is an error, PrimaryHost::stays() or finished() brings the outcome.
    Result<void> switch_over();
    // The guest stays, unless the backup has been told to take over. Without effect when no
    // switchover is under way.
    void give_up_switch_over(const std::string& why);
    // The answer to PrimaryHost::try_claim().
    void claim_tried(const Result<void>& tried);
    // Compares the two sides. PrimaryHost::verified() brings the outcome, unless this is an error.
    Result<void> verify(const VerifyOptions& options);
    void stop_verifying() {
        if (!link_) return;
        link_->verifier.end({VerifyOutcome::Kind::unfinished, "the operator has ended it"});
    }
    // The guest has ended by itself or by the operator's will; its last output still counts.
    void guest_ended(const std::string& reason);
    // The arbiter knows a newer generation of another side.
    void superseded();
    // The answer to PrimaryHost::claim().
    void claimed(Result<Claim> claim);
    // Output began to wait in the gate.
    void output_waiting() { pump(); }
    // Packets from outside wait to be forwarded.
    void packets_waiting();
    // At deadline() or later.
    void tick();
    // When this side has something to do by itself; max(): not without an event.
    TimePoint deadline() const;

    void frame_received(Frame frame) override;
    void channel_drained() override { pump(); }
    void channel_lost(const std::string& reason) override;

  private:
    void enter(State state);
    void check_state() const;
    // A backup may have committed an epoch, and the guest's end is not under way.
    bool is_protected() const;

    void pump();
    bool step();
    Result<bool> copy();
    void host_failed(const std::string& reason);

    Result<void> handle(const Frame& frame);
    Result<void> handle_welcome(const Frame& frame);
    Result<void> handle_ack(const Frame& frame);
    Result<void> handle_unfit(const Frame& frame);
    Result<void> handle_refusal(const Frame& frame);
    Result<void> handle_switched(const Frame& frame);
    void end_with_last_epoch();

    void refuse_peer(const std::string& reason);
    void peer_lost(std::string reason);
    void decide();
    void claim();
    void go_alone();
    void finish(PrimaryEnd end, const std::string& why);

    const PrimaryOptions options_;
    CheckpointSource& source_;
    ConsoleGate& gate_;
    EpochStats& stats_;
    PairPermit& permit_;
    PrimaryHost& host_;

    Generation generation_;  // this side's own
    StateMachine<State> state_{State::alone, primary_transitions()};
    PrimaryTimers timers_;                                      // of the state
    Claiming claiming_{"primary", "the guest's output waits"};  // deciding
    Ending ending_;
    EpochPolicy policy_;
    SwitchOver switch_over_;
    std::optional<Link> link_;
    BackupSearch search_;
};

}  // namespace fmvm::lockstep
