// SPDX-License-Identifier: Apache-2.0
// The backup's side of the protocol as a state machine: no sockets, threads or clocks of its own,
// so that the simulation runs the very same code.
//
//     listening --connection--> greeting --hello accepted--> receiving --first commit--> following
//     following --primary lost or switch over--> deciding --claim won--> taking over --> running
//     deciding --claim lost--> listening          receiving --primary lost--> listening
//     following --guest ended--> finished
//
// What this side holds while `following` is whole; in every other state there is nothing to take
// over with, and it does not.
//
// Threads: the replication thread. Every event may change deadline().
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "lockstep/arbiter/arbiter.h"
#include "lockstep/backup/shadow.h"
#include "lockstep/channel/channel.h"
#include "lockstep/channel/failure_detector.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

// What the state machine needs of the world around it. Calls come from within its own calls.
class BackupHost {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    virtual ~BackupHost() = default;
    virtual TimePoint now() = 0;
    // Builds the machine that waits for this primary's guest, or says why not. The RAM holds
    // zeroes; it and the disks stay until discard().
    struct Prepared {
        ShadowRam* ram;
        ShadowDisks* disks;  // of which this side has its own; null: none
    };
    virtual Result<Prepared> prepare(const HelloMessage& hello) = 0;
    // Whether a guest in this state could go on here. Asked before each epoch is acknowledged, so
    // it takes microseconds.
    virtual Result<void> check(std::span<const std::uint8_t> state) = 0;
    // The machine is not needed: its primary is gone before the first commit, or goes on alone.
    virtual void discard() = 0;
    // Answered later by Backup::claimed().
    virtual void claim(Generation generation) = 0;
    // The guest runs here now: restore the state, show the tail, go. False: not yet, because
    // somebody still holds what the guest needs; it will be asked again soon. An error is the end
    // of both.
    virtual Result<bool> take_over(const Shadow& shadow, Generation generation) = 0;
    // The guest has ended on the primary. The last call.
    virtual void guest_ended(const std::string& reason) = 0;
    // Taking over failed. The last call.
    virtual void failed(const std::string& why) = 0;
};

class Backup : public ChannelUser {
  public:
    using TimePoint = BackupHost::TimePoint;
    enum class State {
        listening,
        greeting,
        receiving,
        following,
        deciding,
        taking_over,
        running,
        finished
    };

    // The host outlives this.
    explicit Backup(BackupHost& host) : host_(host) {}
    ~Backup() override;

    State state() const { return state_; }

    // Somebody has connected.
    void connected(std::unique_ptr<Channel> channel);
    void claimed(Result<Claim> claim);
    // Asks the primary to move the guest here. False: there is none that this side follows.
    bool ask_for_switch_over();
    // At deadline() or later.
    void tick();
    TimePoint deadline() const;

    void frame_received(Frame frame) override;
    void channel_drained() override {}
    void channel_lost(const std::string& reason) override;

  private:
    TimePoint last_heard() const;
    Result<void> handle(Frame frame);
    Result<void> handle_hello(const Frame& frame);
    Result<void> handle_disk(const Frame& frame);
    Result<void> handle_commit(const Frame& frame);
    Result<void> check_state();
    Result<void> apply();
    Result<void> handle_check(const Frame& frame);
    void become_unfit(const Error& why);
    Error unfit(const Error& why);
    Result<void> handle_switch_over(const Frame& frame);
    Result<void> handle_ended(const Frame& frame);
    template <typename Message>
    void send(const Message& message) {
        channel_->send(Message::type, message.encode());
    }
    void send(std::vector<OutgoingMessage> pieces);
    void refuse(const std::string& reason);
    void primary_lost(const std::string& reason);
    void claim();
    void listen_again();
    void claim_won();
    void take_over();
    const char* why_refused() const;

    BackupHost& host_;
    State state_ = State::listening;
    std::unique_ptr<Channel> channel_;
    std::string peer_;
    std::optional<FailureDetector> detector_;  // there is one while there is a channel
    HelloMessage hello_;
    std::size_t queue_limit_ = 0;  // bytes that a peer may leave unread, maps of large disks beside
    ShadowDisks* disks_ = nullptr;
    std::optional<Shadow> shadow_;
    std::optional<TimePoint> claim_again_;
    std::optional<TimePoint> epoch_began_;  // to arrive; none is under way
    std::optional<TimePoint> take_over_again_;
    bool unfit_ = false;  // it differs from the primary: it must not take over
};

}  // namespace fmvm::lockstep
