// SPDX-License-Identifier: Apache-2.0
#include "lockstep/backup/primary_link.h"

#include <algorithm>

namespace fmvm::lockstep {

namespace {

// How long somebody who has connected may take to say who it is.
constexpr std::chrono::milliseconds greeting_max{1000};
// Between two trials of a claim.
constexpr std::chrono::seconds trial_interval{1};

}  // namespace

PrimaryLink::PrimaryLink(std::unique_ptr<Channel> channel, TimePoint now)
    : channel_(std::move(channel)), peer_(channel_->peer()), detector_(greeting_max, now) {}

void PrimaryLink::keep_alive(std::chrono::milliseconds interval) {
    channel_->keep_alive(interval, Heartbeat::Role::leads);
}

// Maps of large disks, which are sent first, may be larger than what a peer may leave unread.
// The primary's last sign may be older than this side's by the time in which a side is heard at
// least once (heartbeat.h).
void PrimaryLink::accept(std::chrono::milliseconds lost_after, std::chrono::milliseconds heartbeat,
                         std::chrono::milliseconds claim_delay, TimePoint now) {
    FMVM_CHECK(!accepted_);
    accepted_ = true;
    const auto silence = lost_after + heartbeat * 5 / 4 + claim_delay;
    detector_ = FailureDetector(silence, now);
    lifeline_.expect(silence, now);
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
    if (detector_.is_lost(now, last_heard())) return "nothing was heard of it for too long";
    return lifeline_.lost(now);
}

PrimaryLink::TimePoint PrimaryLink::next_look() const {
    if (has_died_) return TimePoint::min();
    return std::min(detector_.next_look(last_heard()), lifeline_.deadline());
}

PrimaryLink::TimePoint PrimaryLink::last_heard() const {
    return accepted_ ? channel_->last_heard() : TimePoint::min();
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
