// SPDX-License-Identifier: Apache-2.0
#include "lockstep/backup/followed_guest.h"

#include <utility>

namespace fmvm::lockstep {

namespace {

// Those of its messages that the primary sends after its guest has stood, and soon after it.
bool begins_epoch(FrameType type) {
    return type == FrameType::pages || type == FrameType::block_log || type == FrameType::state;
}

}  // namespace

FollowedGuest::FollowedGuest(HelloMessage hello, std::string primary,
                             const BackupHost::Prepared& prepared)
    : hello_(std::move(hello)),
      primary_(std::move(primary)),
      disks_(prepared.disks),
      shadow_(*prepared.ram, prepared.disks),
      gate_(longest_promise(lost_after())) {}

std::vector<OutgoingMessage> FollowedGuest::known_disks() {
    return disks_ == nullptr ? std::vector<OutgoingMessage>{} : disks_->known();
}

Result<void> FollowedGuest::join(const JoinMessage& join, PrimaryLink& primary) const {
    if (join.vm != vm() || join.generation != generation())
        return Error("it names another guest than the one that is followed here");
    return primary.join(join);
}

Result<void> FollowedGuest::fit_if(Result<void> result) {
    if (!result.ok()) fit_ = false;
    return result;
}

Result<void> FollowedGuest::receive(Frame frame, PrimaryLink& primary, TimePoint now) {
    FMVM_CHECK(fit_ && shadow_.is_applied());
    switch (frame.type) {
        case FrameType::pages:
        case FrameType::block_log:
        case FrameType::disk_serial:
        case FrameType::state:
        case FrameType::output:
        case FrameType::digests:
            return stage(std::move(frame), now);
        case FrameType::disk_begin:
        case FrameType::disk_digests:
        case FrameType::disk_blocks:
            return make_disks_equal(frame, primary);
        case FrameType::packet:
            return keep_packet(frame);
        case FrameType::disk_check:
            return compare_disks(frame, primary);
        default:
            FMVM_CHECK(is_optional(frame.type));
            return {};
    }
}

Result<void> FollowedGuest::stage(Frame frame, TimePoint now) {
    // The initial copy is sent while the guest runs: when its messages come says nothing.
    const bool initial = shadow_.committed() == 0;
    if (!initial && !epoch_began_ && begins_epoch(frame.type)) epoch_began_ = now;
    switch (frame.type) {
        case FrameType::pages:
            return shadow_.stage_pages(std::move(frame));
        case FrameType::block_log:
            return shadow_.stage_block_log(std::move(frame));
        case FrameType::disk_serial:
            return shadow_.stage_disk_serial(frame);
        case FrameType::state:
            return shadow_.stage_state(frame, epoch_began_.value_or(now));
        case FrameType::output:
            return shadow_.stage_output(frame);
        default:
            return shadow_.stage_digests(frame);
    }
}

Result<void> FollowedGuest::commit(const CommitMessage& commit) {
    FMVM_CHECK(fit_);
    epoch_began_.reset();
    const Result<void> committed = shadow_.commit(commit);
    FMVM_CHECK(!committed.ok() || shadow_.committed() == commit.epoch);
    return shadow_.disks_failed() ? fit_if(committed) : committed;
}

std::vector<OutgoingMessage> FollowedGuest::acknowledge(EpochId epoch) {
    std::vector<OutgoingMessage> messages;
    if (disks_ != nullptr) messages = disks_->acknowledge();
    messages.push_back({FrameType::ack, AckMessage{epoch}.encode()});
    return messages;
}

Result<void> FollowedGuest::apply() {
    Result<void> applied = shadow_.apply();
    if (applied.ok() && is_durable()) applied = shadow_.sync();
    return fit_if(std::move(applied));
}

Result<void> FollowedGuest::make_disks_equal(const Frame& frame, PrimaryLink& primary) {
    if (disks_ == nullptr) return Error("a message about disks, of which this side has none");
    primary.send(FMVM_TRY(disks_->message(frame)));
    return {};
}

Result<void> FollowedGuest::keep_packet(const Frame& frame) {
    PacketMessage message = FMVM_TRY(PacketMessage::decode(frame.body));
    if (message.card >= hello_.shape.nets.size())
        return Error("it forwarded a packet of a network card that its guest does not have");
    return shadow_.keep_packet(std::move(message));
}

// The check stands between two commits, and all before it was applied.
Result<void> FollowedGuest::compare_disks(const Frame& frame, PrimaryLink& primary) {
    const auto check = FMVM_TRY(replay::CheckMessage::decode(frame.body));
    if (disks_ == nullptr || check.epoch != shadow_.committed())
        return Error("a comparison of disks out of turn");
    FMVM_TRY(disks_->check(check));
    FMVM_TRY(fit_if(disks_->compare(check)));
    primary.send(FrameType::disk_checked, replay::CheckedMessage{check.number}.encode());
    return {};
}

Result<void> FollowedGuest::release_disks() {
    if (disks_ == nullptr || shadow_.committed() == 0) return {};
    return disks_->release();
}

Result<bool> FollowedGuest::disks_idle() {
    const Result<bool> idle = shadow_.disks_idle();
    if (!idle.ok()) fit_ = false;
    return idle;
}

}  // namespace fmvm::lockstep
