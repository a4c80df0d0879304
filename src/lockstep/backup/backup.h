// SPDX-License-Identifier: Apache-2.0
// The backup's side of the protocol as a state machine: no sockets, threads or clocks of its own,
// so that the simulation runs the very same code. States, transitions and the messages that fit are
// in backup_state.h and, as tables and a picture, in docs/protocol.md ("The backup").
//
// The copy of the guest is whole from the first commit on. In a state without such a copy there is
// nothing to take over with, and this side does not.
//
// Nothing here waits: whoever has to be waited for is asked again when a timer expires.
//
// Threads: the replication thread. Every call may change deadline().
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/state_machine.h"
#include "base/timers.h"
#include "base/trouble.h"
#include "lockstep/arbiter/arbiter.h"
#include "lockstep/arbiter/claiming.h"
#include "lockstep/backup/backup_host.h"
#include "lockstep/backup/backup_state.h"
#include "lockstep/backup/callers.h"
#include "lockstep/backup/followed_guest.h"
#include "lockstep/backup/primary_link.h"
#include "lockstep/channel/channel.h"

namespace fmvm::lockstep {

class Backup : public ChannelUser {
  public:
    using TimePoint = BackupHost::TimePoint;
    using State = BackupState;

    // The host outlives this. claim_delay: how much longer than the primary this side waits in a
    // silence, so that a guest whose both hosts are well stays where it is.
    Backup(BackupHost& host, std::chrono::milliseconds claim_delay);
    ~Backup() override = default;

    State state() const { return state_.state(); }

    // Somebody has connected.
    void connected(std::unique_ptr<Channel> channel);
    // Somebody has connected who wants to join the channel to the primary. An error, one sentence
    // for him: he does not belong to it.
    Result<void> join(const JoinMessage& join);
    // The lifeline whose join was just taken: how it lives, and that it does.
    Lifeline::Terms lifeline_terms();
    void lifeline(std::unique_ptr<Lifeline> lifeline) {
        link_->watch().lifeline_made(std::move(lifeline));
    }
    // The primary is dead for certain: the sentinel that has joined its channel says so. It is lost
    // at the next tick, which is due, and nothing that it was promised is waited for.
    void primary_died() {
        if (guest_) guest_->gate().release();
        if (link_) link_->primary_died();
    }
    // The arbiter knows a newer generation than this one. Whoever sends it is no primary any more,
    // and must not keep the one that is from coming here.
    void superseded(Generation generation);
    // The answer to BackupHost::claim().
    void claimed(Result<Claim> claim);
    // The answer to BackupHost::try_claim().
    void claim_tried(const Result<void>& tried);
    // Asks the primary to move the guest here. False: there is none that this side follows.
    // BackupHost::stays(), discard() or take_over() tell the outcome.
    bool ask_for_switch_over();
    // The guest is to stay where it is after all. Without effect once the primary has handed over.
    void give_up_switch_over();
    // At deadline() or later.
    void tick();
    TimePoint deadline() const;

    void frame_received(Frame frame) override;
    void channel_drained() override {}
    void channel_lost(const std::string& reason) override;

  private:
    // Each belongs to one state; whatever leaves the state clears it.
    enum class Timer : std::uint8_t {
        look_at_flush,  // awaiting_flush
        take_disks,     // awaiting_disks
        look_at_copy,   // discarding
    };
    class Checked;
    static constexpr std::chrono::milliseconds at_once{0};

    void check_invariants() const;
    void greet_next();
    void enter(State next);
    void set_timer(Timer timer, std::chrono::milliseconds delay) {
        timers_.set(timer, host_.now() + delay);
    }

    Result<void> handle(Frame frame);
    Result<void> handle_hello(const Frame& frame);
    Result<void> handle_ask_guest(const Frame& frame);
    Result<void> handle_commit(const Frame& frame);
    Result<void> handle_heartbeat(const Frame& frame);
    Result<void> handle_switch_over(const Frame& frame);
    Result<void> handle_ended(const Frame& frame);

    KnownGuestMessage known_guest() const;
    void refuse(const std::string& reason, std::chrono::milliseconds before_claim);
    void tell_unfit(const std::string& why);
    // before_claim: the time that a primary which lives is given to keep its guest.
    void primary_lost(const std::string& reason, std::chrono::milliseconds before_claim = at_once);
    void no_primary(const std::string& text);

    void look_at_flush();
    void decide(std::chrono::milliseconds before_claim = at_once);
    void claim();
    void won();
    void take_over();
    void fail(const Error& why) {
        enter(State::finished);
        host_.failed(why.message());
    }
    void discard();
    void look_at_copy();

    BackupHost& host_;
    const std::chrono::milliseconds claim_delay_;
    StateMachine<State> state_;
    Timers<Timer, 3> timers_;
    Trouble no_primary_;  // those who connect are none, or are lost before this side is in step
    Claiming claiming_{"backup", "not taking over yet"};  // deciding
    Callers callers_;                                     // greeting: who waits for that
    std::optional<PrimaryLink> link_;
    std::optional<FollowedGuest> guest_;
    KnownGuestMessage taken_over_;  // which guest runs here
};

}  // namespace fmvm::lockstep
