// SPDX-License-Identifier: Apache-2.0
// A backup's connection to its primary: what lives as long as the connection does.
//
// Threads: the replication thread.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "lockstep/channel/channel.h"
#include "lockstep/channel/peer_watch.h"
#include "lockstep/wire/messages.h"
#include "lockstep/wire/outgoing_message.h"

namespace fmvm::lockstep {

class PrimaryLink {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;

    // Somebody has connected, and has a limited time to say who it is, however lively it is.
    PrimaryLink(std::unique_ptr<Channel> channel, TimePoint now);

    // From now on `user` is told.
    void start(ChannelUser& user) { channel_->start(user); }
    // The primary hears from this side at least this often from now on.
    void keep_alive(std::chrono::milliseconds interval);
    // The hello is accepted: from now on any sign of life counts. What waits to be sent may wait.
    // The primary is the first to act when the two lose sight of each other, by `claim_delay`.
    void accept(const HelloMessage& hello, std::chrono::milliseconds claim_delay, TimePoint now);
    // Whether the primary owes an epoch every now and then: from the first one on, until it has
    // handed over.
    void expect_epochs(bool expected) { expects_epochs_ = expected; }
    // A message of the primary has come.
    void received(const Frame& frame) { watch_.received(frame); }
    // All that has come was handled. An error, one sentence: the primary leaves unread more than it
    // may.
    Result<void> handled();

    // Why the primary counts as lost now, if it does: one sentence.
    std::optional<std::string> lost(TimePoint now);
    // Somebody who knows says so: it counts as lost from now on.
    void primary_died() { has_died_ = true; }
    // When lost() is to be asked next, or earlier.
    TimePoint next_look() const { return has_died_ ? TimePoint::min() : watch_.next_look(); }
    // What names this connection to those who join it.
    const SessionId& session() const { return session_; }
    // Another connection joins this one. An error, one sentence for it: it does not belong here.
    Result<void> join(const JoinMessage& join);
    PeerWatch& watch() { return watch_; }
    // The primary, for messages.
    const std::string& peer() const { return peer_; }

    template <typename Message>
    void send(const Message& message) {
        channel_->send(Message::type, message.encode());
    }
    void send(FrameType type, Body body) { channel_->send(type, std::move(body)); }
    void send(std::vector<OutgoingMessage> messages);
    // The primary wants to know whether this side could claim. True: it is to be tried out. Else it
    // is under way, or was just before, which the primary is told: each trial writes at the
    // arbiter.
    bool begins_trial(TimePoint now);
    void end_trial(const Result<void>& tried);
    // Sends what waits, then closes. The user is not told anything any more.
    void close() { channel_->close(); }
    // Says why, then closes.
    void refuse(const std::string& reason);

  private:
    Debt debt() const;

    std::unique_ptr<Channel> channel_;
    const std::string peer_;
    const SessionId session_ = random_value<SessionId>();
    std::set<JoinKind> joined_;
    PeerWatch watch_;
    TimePoint::duration patience_{0};    // with a primary that has something to do
    TimePoint::duration next_epoch_{0};  // with one that has sent all of an epoch
    bool expects_epochs_ = false;
    bool has_died_ = false;
    std::size_t queue_limit_ = channel_high_water;  // bytes
    bool trial_under_way_ = false;
    TimePoint next_trial_ = TimePoint::min();
};

}  // namespace fmvm::lockstep
