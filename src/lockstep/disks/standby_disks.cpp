// SPDX-License-Identifier: Apache-2.0
#include "lockstep/disks/standby_disks.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/crash_point.h"
#include "base/log.h"

namespace fmvm::lockstep {

namespace {

std::vector<BlockBackend*> backends_of(const std::vector<StandbyDisks::Disk>& disks) {
    std::vector<BlockBackend*> backends;
    for (const StandbyDisks::Disk& disk : disks)
        backends.push_back(disk.backend);
    return backends;
}

}  // namespace

StandbyDisks::StandbyDisks(GuestMemory& memory, std::vector<Disk> disks, const VmId& vm,
                           Generation generation, std::chrono::milliseconds answer_limit)
    : disks_(std::move(disks)),
      vm_(vm),
      generation_(generation),
      replayer_(&memory, backends_of(disks_), answer_limit) {
    const auto count = static_cast<std::uint32_t>(disks_.size());
    for (std::size_t i = 0; i < disks_.size(); ++i) {
        const replay::DiskOwner owner{vm, generation, count, disks_[i].origin};
        targets_.emplace_back(static_cast<std::uint8_t>(i), owner, *disks_[i].map, *disks_[i].image,
                              disks_[i].name);
    }
}

// A flush that is in flight may yet fail.
StandbyDisks::~StandbyDisks() {
    if (phase_ == Phase::taken_over) {
        FMVM_CHECK(replayer_.is_idle());
    } else {
        static_cast<void>(trusted(replayer_.wait_all()));
    }
}

std::vector<OutgoingMessage> StandbyDisks::known() {
    std::vector<OutgoingMessage> messages;
    for (std::size_t i = 0; i < targets_.size(); ++i) {
        replay::KnownMessage known = targets_[i].known();
        if (disks_[i].discards) known.pair = {};
        messages.push_back({FrameType::disk_known, known.encode()});
    }
    return messages;
}

Result<replay::ResyncTarget*> StandbyDisks::target(std::uint8_t disk) {
    if (disk >= targets_.size())
        return make_error("it sent a message about disk {}, which there is not", disk);
    return &targets_[disk];
}

Result<std::vector<OutgoingMessage>> StandbyDisks::message(const Frame& frame) {
    switch (frame.type) {
        case FrameType::disk_begin:
            return begin(FMVM_TRY(replay::BeginMessage::decode(frame.body)));
        case FrameType::disk_digests:
            return digests(FMVM_TRY(replay::ChunkDigestsMessage::decode(frame.body)));
        default:
            return blocks(FMVM_TRY(replay::BlocksMessage::decode(frame.body)));
    }
}

Result<std::vector<OutgoingMessage>> StandbyDisks::begin(const replay::BeginMessage& message) {
    replay::ResyncTarget* const of_disk = FMVM_TRY(target(message.disk));
    const Disk& disk = disks_[message.disk];
    if (const char* const why = why_all(message.basis); why != nullptr)
        log::warning("backup", "disk {}: {}: all of it is compared", disk.name, why);
    const auto ready = FMVM_TRY(of_disk->on_begin(message));
    serials_.begin(message.disk, *disk.map);
    return answer(FrameType::disk_ready, ready);
}

Result<std::vector<OutgoingMessage>> StandbyDisks::digests(
    const replay::ChunkDigestsMessage& chunk) {
    replay::ResyncTarget* const of_disk = FMVM_TRY(target(chunk.disk));
    const auto compared = FMVM_TRY(of_disk->on_digests(chunk));
    if (const auto* wanted = std::get_if<replay::WantedMessage>(&compared))
        return answer(FrameType::disk_wanted, *wanted);
    return answer(FrameType::disk_done, std::get<replay::DoneMessage>(compared));
}

Result<std::vector<OutgoingMessage>> StandbyDisks::blocks(const replay::BlocksMessage& blocks) {
    replay::ResyncTarget* const of_disk = FMVM_TRY(target(blocks.disk));
    const auto done = FMVM_TRY(of_disk->on_blocks(blocks));
    crash_point("backup-resync");
    if (!done) return std::vector<OutgoingMessage>{};
    return answer(FrameType::disk_done, *done);
}

template <typename Message>
std::vector<OutgoingMessage> StandbyDisks::answer(FrameType type, const Message& message) {
    std::vector<OutgoingMessage> answers = untold_serials();
    answers.push_back({type, message.encode()});
    return answers;
}

std::vector<OutgoingMessage> StandbyDisks::untold_serials() {
    std::vector<OutgoingMessage> messages;
    for (OutgoingMessage serial = serials_.next(); !serial.empty(); serial = serials_.next())
        messages.push_back(std::move(serial));
    return messages;
}

Result<void> StandbyDisks::hear_serial(const replay::SerialMessage& message) {
    replay::ResyncTarget* const of_disk = FMVM_TRY(target(message.disk));
    if (!of_disk->begun())
        return make_error("it told the serial of disk {} out of turn", message.disk);
    disks_[message.disk].map->hear_serial(message.serial);
    return {};
}

void StandbyDisks::hear_commit() {
    for (const Disk& disk : disks_)
        disk.map->count_heard();
}

std::vector<OutgoingMessage> StandbyDisks::acknowledge() {
    for (const Disk& disk : disks_)
        disk.map->count_sent();
    return untold_serials();
}

bool StandbyDisks::equal() const {
    return std::ranges::all_of(targets_, &replay::ResyncTarget::finished);
}

Result<void> StandbyDisks::set_role(replay::DiskRole role, Generation generation) {
    for (const Disk& disk : disks_) {
        replay::DiskLabel label = disk.map->label();
        label.vm = vm_;
        label.generation = generation;
        label.role = role;
        FMVM_TRY(disk.map->set_label(label));
    }
    return {};
}

// The primary has cleared, or will clear, what was mirrored until now.
Result<void> StandbyDisks::follow() {
    FMVM_CHECK(phase_ == Phase::being_made_equal && doubt_ == Doubt::none && equal());
    FMVM_TRY(set_role(replay::DiskRole::following, generation_));
    phase_ = Phase::following;
    forget_changes();
    return {};
}

Result<void> StandbyDisks::check(const replay::BlockRecord& record) const {
    return replayer_.check(record);
}

Result<void> StandbyDisks::mark(std::span<const replay::BlockRecord> records) {
    FMVM_CHECK(phase_ != Phase::taken_over);
    for (const replay::BlockRecord& record : records) {
        if (replay::has_changed_disk(record))
            FMVM_TRY(disks_[record.disk].map->mark(record.offset, record.length));
    }
    return {};
}

Result<void> StandbyDisks::replay(std::span<const replay::BlockRecord> records) {
    FMVM_CHECK(phase_ != Phase::taken_over);
    // The label says what the image is before anything on it changes.
    if (!std::ranges::all_of(targets_, &replay::ResyncTarget::begun))
        return Error("it sent what its guest wrote before it began to make the disks equal");
    const bool following = phase_ == Phase::following;
    if (!following) FMVM_TRY(mark(records));
    Result<void> replayed = check_sizes();
    if (replayed.ok()) replayed = replayer_.replay(records);
    FMVM_TRY(trusted(replayed));
    for (const replay::BlockRecord& record : records) {
        if (replay::has_changed_disk(record))
            disks_[record.disk].map->end_change(record.offset, record.length, false);
    }
    if (following) forget_changes();
    return {};
}

// Writes beyond the end of a file that became shorter would make it longer again, with a hole.
Result<void> StandbyDisks::check_sizes() const {
    for (const Disk& disk : disks_)
        FMVM_TRY(disk.image->check_size());
    return {};
}

// What was replayed is what the primary has.
void StandbyDisks::forget_changes() {
    for (const Disk& disk : disks_)
        disk.map->clear(disk.map->take_touched());
}

Result<void> StandbyDisks::trusted(Result<void> done) {
    if (!done.ok()) distrust();
    return done;
}

// All of these disks is compared the next time. Where they differ is not known any more. But if a
// flush is only not done yet, they hold what they should, and may be run.
void StandbyDisks::distrust() {
    const Doubt doubt = replayer_.gave_up_on_flush() ? Doubt::flush_not_done : Doubt::broken;
    if (doubt <= doubt_) return;
    doubt_ = doubt;
    for (const Disk& disk : disks_) {
        const Result<void> told = doubt == Doubt::broken
                                      ? disk.map->break_lineage(replay::DiskRole::syncing)
                                      : disk.map->flush_failed();
        if (!told.ok()) log::error("backup", "{}", told.error().message());
    }
}

Result<void> StandbyDisks::check(const replay::CheckMessage& message) const {
    if (message.disk >= disks_.size())
        return make_error("it compares disk {}, which there is not", message.disk);
    const std::uint64_t count = replay::disk_block_count(disks_[message.disk].map->image_bytes());
    for (const replay::BlockDigest& expected : message.blocks) {
        if (expected.block >= count)
            return make_error("it compares a block beyond the end of disk {}", message.disk);
    }
    return {};
}

Result<void> StandbyDisks::compare(const replay::CheckMessage& message) {
    for (const replay::BlockDigest& expected : message.blocks) {
        FMVM_TRY(trusted(compare(disks_[message.disk], expected)));
    }
    return {};
}

Result<void> StandbyDisks::compare(const Disk& disk, const replay::BlockDigest& expected) {
    if (FMVM_TRY(disk.image->digest(expected.block)) == expected.digest) return {};
    return make_error("verify: disk {} differs from the primary's within the {} bytes from {} on",
                      disk.name, replay::bytes_of_block(expected.block, disk.map->image_bytes()),
                      expected.block * replay::disk_block_bytes);
}

Result<bool> StandbyDisks::idle() {
    FMVM_TRY(trusted(replayer_.poll()));
    return replayer_.is_idle();
}

bool StandbyDisks::at_rest() {
    static_cast<void>(trusted(replayer_.poll_in_time()));
    return replayer_.is_idle();
}

Result<void> StandbyDisks::sync() {
    return trusted(replayer_.sync());
}

Result<void> StandbyDisks::release() {
    FMVM_CHECK(phase_ == Phase::following && doubt_ == Doubt::none);
    FMVM_TRY(check_sizes());
    std::vector<std::optional<replay::DirtyBlockMap::PruneId>> prunes;
    for (const Disk& disk : disks_)
        prunes.push_back(disk.map->begin_prune(replay::DirtyBlockMap::Prune::all));
    FMVM_TRY(sync());
    for (std::size_t i = 0; i < disks_.size(); ++i) {
        if (prunes[i]) disks_[i].map->end_prune(*prunes[i], true);
    }
    return set_role(replay::DiskRole::clean, generation_);
}

Result<bool> StandbyDisks::take_over(Generation generation) {
    FMVM_CHECK(phase_ == Phase::following);
    if (!FMVM_TRY(idle())) return false;
    FMVM_TRY(set_role(replay::DiskRole::running, generation));
    phase_ = Phase::taken_over;
    return true;
}

}  // namespace fmvm::lockstep
