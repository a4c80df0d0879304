// SPDX-License-Identifier: Apache-2.0
#include "lockstep/backup/primary_link.h"

namespace fmvm::lockstep {

namespace {

// How long somebody who has connected may take to say who it is.
constexpr std::chrono::milliseconds greeting_max{1000};

}  // namespace

PrimaryLink::PrimaryLink(std::unique_ptr<Channel> channel, TimePoint now)
    : channel_(std::move(channel)), peer_(channel_->peer()), detector_(greeting_max, now) {}

void PrimaryLink::keep_alive(std::chrono::milliseconds interval) {
    channel_->keep_alive(interval, Heartbeat::Role::leads);
}

// Maps of large disks, which are sent first, may be larger than what a peer may leave unread.
void PrimaryLink::accept(std::chrono::milliseconds lost_after, TimePoint now) {
    FMVM_CHECK(!accepted_);
    accepted_ = true;
    detector_ = FailureDetector(lost_after, now);
    queue_limit_ = channel_->queued_bytes() + channel_high_water;
}

PrimaryLink::TimePoint PrimaryLink::last_heard() const {
    return accepted_ ? channel_->last_heard() : TimePoint::min();
}

void PrimaryLink::send(std::vector<OutgoingMessage> messages) {
    for (OutgoingMessage& message : messages)
        channel_->send(message.type, std::move(message.body));
}

void PrimaryLink::refuse(const std::string& reason) {
    send(RefuseMessage{reason});
    close();
}

}  // namespace fmvm::lockstep
