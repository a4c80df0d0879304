// SPDX-License-Identifier: Apache-2.0
#include "lockstep/disks/standby_disks.h"

#include <algorithm>
#include <utility>

#include "base/crash_point.h"
#include "base/log.h"

namespace fmvm::lockstep {

namespace {

// How long a takeover waits for a flush at a time; most have ended within this.
constexpr std::chrono::milliseconds flush_usual{5};

std::vector<BlockBackend*> backends_of(const std::vector<StandbyDisks::Disk>& disks) {
    std::vector<BlockBackend*> backends;
    for (const StandbyDisks::Disk& disk : disks)
        backends.push_back(disk.backend);
    return backends;
}

}  // namespace

StandbyDisks::StandbyDisks(GuestMemory& memory, std::vector<Disk> disks, const VmId& vm,
                           Generation generation)
    : disks_(std::move(disks)),
      vm_(vm),
      generation_(generation),
      replayer_(&memory, backends_of(disks_)) {
    for (std::size_t i = 0; i < disks_.size(); ++i) {
        targets_.emplace_back(static_cast<std::uint8_t>(i), replay::DiskOwner{vm, generation},
                              *disks_[i].map, *disks_[i].image, disks_[i].name);
    }
}

// A flush that was under way may yet fail.
StandbyDisks::~StandbyDisks() {
    if (!taken_over_) static_cast<void>(trusted(replayer_.wait_all()));
}

std::vector<OutgoingMessage> StandbyDisks::known() {
    std::vector<OutgoingMessage> pieces;
    for (const replay::ResyncTarget& target : targets_)
        pieces.push_back({FrameType::disk_known, target.known().encode()});
    return pieces;
}

Result<replay::ResyncTarget*> StandbyDisks::target(std::uint8_t disk) {
    if (disk >= targets_.size())
        return make_error("it sent a message about disk {}, which there is not", disk);
    return &targets_[disk];
}

Result<std::vector<OutgoingMessage>> StandbyDisks::message(const Frame& frame) {
    std::vector<OutgoingMessage> answers;
    if (frame.type == FrameType::disk_begin) {
        const auto begin = FMVM_TRY(replay::BeginMessage::decode(frame.body));
        replay::ResyncTarget* const of_disk = FMVM_TRY(target(begin.disk));
        const auto ready = FMVM_TRY(of_disk->on_begin(begin));
        answers.push_back({FrameType::disk_ready, ready.encode()});
    } else if (frame.type == FrameType::disk_digests) {
        const auto chunk = FMVM_TRY(replay::ChunkDigestsMessage::decode(frame.body));
        replay::ResyncTarget* const of_disk = FMVM_TRY(target(chunk.disk));
        const auto answer = FMVM_TRY(of_disk->on_digests(chunk));
        if (const auto* wanted = std::get_if<replay::WantedMessage>(&answer)) {
            answers.push_back({FrameType::disk_wanted, wanted->encode()});
        } else {
            const auto& done = std::get<replay::DoneMessage>(answer);
            answers.push_back({FrameType::disk_done, done.encode()});
        }
    } else {
        const auto blocks = FMVM_TRY(replay::BlocksMessage::decode(frame.body));
        replay::ResyncTarget* const of_disk = FMVM_TRY(target(blocks.disk));
        const auto done = FMVM_TRY(of_disk->on_blocks(blocks));
        crash_point("backup-resync");
        if (done) answers.push_back({FrameType::disk_done, done->encode()});
    }
    return answers;
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
    FMVM_TRY(set_role(replay::DiskRole::following, generation_));
    following_ = true;
    forget_changes();
    return {};
}

Result<void> StandbyDisks::check(const replay::BlockRecord& record) const {
    return replayer_.check(record);
}

Result<void> StandbyDisks::mark(std::span<const replay::BlockRecord> records) {
    for (const replay::BlockRecord& record : records) {
        if (replay::has_changed_disk(record))
            FMVM_TRY(disks_[record.disk].map->mark(record.offset, record.length));
    }
    return {};
}

Result<void> StandbyDisks::replay(std::span<const replay::BlockRecord> records) {
    // The label says what the image is before anything on it changes.
    if (!std::ranges::all_of(targets_, &replay::ResyncTarget::begun))
        return Error("it sent what its guest wrote before it began to make the disks equal");
    if (!following_) FMVM_TRY(mark(records));
    Result<void> replayed = check_sizes();
    if (replayed.ok()) replayed = replayer_.replay(records);
    FMVM_TRY(trusted(replayed));
    for (const replay::BlockRecord& record : records) {
        if (replay::has_changed_disk(record))
            disks_[record.disk].map->end_change(record.offset, record.length, false);
    }
    if (following_) forget_changes();
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

// All of these disks is compared the next time. Where they differ is not known any more; but when a
// flush has only not ended yet, they hold what they should, and may be run.
void StandbyDisks::distrust() {
    const bool slow = replayer_.gave_up_on_flush();
    for (const Disk& disk : disks_) {
        const Result<void> told =
            slow ? disk.map->flush_failed() : disk.map->break_lineage(replay::DiskRole::syncing);
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

Result<void> StandbyDisks::sync() {
    return trusted(replayer_.sync());
}

Result<void> StandbyDisks::release() {
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
    if (!FMVM_TRY(replayer_.wait_idle(flush_usual))) return false;
    FMVM_TRY(set_role(replay::DiskRole::running, generation));
    taken_over_ = true;
    return true;
}

}  // namespace fmvm::lockstep
