// SPDX-License-Identifier: Apache-2.0
#include "lockstep/backup/primary_link.h"

namespace fmvm::lockstep {

namespace {

// How long somebody who has connected may take to say who it is.
constexpr std::chrono::milliseconds greeting_max{1000};
// Between two trials of a claim.
constexpr std::chrono::seconds trial_interval{1};

}  // namespace

PrimaryLink::PrimaryLink(std::unique_ptr<Channel> channel, TimePoint now)
    : channel_(std::move(channel)),
      peer_(channel_->peer()),
      watch_(*channel_, "backup", PeerWatch::Unknown::has_to_speak, greeting_max, now) {}

void PrimaryLink::keep_alive(std::chrono::milliseconds interval) {
    channel_->keep_alive(interval, Heartbeat::Role::leads);
}

// Maps of large disks, which are sent first, may be larger than what a peer may leave unread.
// The primary's last sign may be older than this side's by the time in which a side is heard at
// least once (heartbeat.h).
void PrimaryLink::accept(const HelloMessage& hello, std::chrono::milliseconds claim_delay,
                         TimePoint now) {
    const std::chrono::milliseconds lost_after(hello.lost_after_ms);
    const auto longer = std::chrono::milliseconds(hello.heartbeat_ms) * 5 / 4 + claim_delay;
    watch_.joined(lost_after + longer, now);
    patience_ = getting_on_within(lost_after) + longer;
    next_epoch_ = patience_ + std::chrono::milliseconds(hello.interval_ms);
    queue_limit_ = channel_->queued_bytes() + channel_high_water;
}

// Whoever knows the session has it from the welcome. A sentinel that was cut off comes again.
Result<void> PrimaryLink::join(const JoinMessage& join) {
    if (join.session != session_)
        return Error("it names another session than the one that is under way");
    if (!joined_.insert(join.kind).second && join.kind != JoinKind::sentinel)
        return make_error("this session has its {} already", name_of(join.kind));
    return {};
}

std::optional<std::string> PrimaryLink::lost(TimePoint now) {
    if (has_died_) return "its sentinel says that it has died";
    return watch_.lost(debt(), now);
}

// A primary cuts at least once in an interval, whatever its guest does.
Debt PrimaryLink::debt() const {
    if (expects_epochs_) return {"the next epoch", next_epoch_};
    return {nullptr, patience_};
}

Result<void> PrimaryLink::handled() {
    watch_.handled();
    if (channel_->queued_bytes() <= queue_limit_) return {};
    return Error("it does not read what it is told");
}

void PrimaryLink::send(std::vector<OutgoingMessage> messages) {
    for (OutgoingMessage& message : messages)
        channel_->send(message.type, std::move(message.body));
}

bool PrimaryLink::begins_trial(TimePoint now) {
    if (trial_under_way_) return false;  // its answer is that of both questions
    trial_under_way_ = now >= next_trial_;
    if (trial_under_way_)
        next_trial_ = now + trial_interval;
    else
        send(ClaimTriedMessage{"it was asked so just before; wait a second"});
    return trial_under_way_;
}

// Also of a trial that another connection asked for, and whose answer came late.
void PrimaryLink::end_trial(const Result<void>& tried) {
    trial_under_way_ = false;
    send(ClaimTriedMessage{tried.ok() ? "" : tried.error().message()});
}

void PrimaryLink::refuse(const std::string& reason) {
    send(RefuseMessage{reason});
    close();
}

}  // namespace fmvm::lockstep
