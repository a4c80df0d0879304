// SPDX-License-Identifier: Apache-2.0
#include "lockstep/disks/mirrored_disks.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace fmvm::lockstep {

MirroredDisks::MirroredDisks(replay::BlockLog& log, const GuestMemory& memory,
                             std::vector<Disk> disks, replay::PayloadMode mode,
                             replay::EpochRecorder* recorder)
    : blocks_(log, memory, mode), disks_(std::move(disks)), recorder_(recorder) {}

Result<void> MirroredDisks::run_under(const VmId& vm, Generation generation) {
    for (std::size_t i = 0; i < disks_.size(); ++i) {
        replay::DiskLabel label = disks_[i].map->label();
        label.vm = vm;
        label.disk = static_cast<std::uint32_t>(i);
        label.disks = static_cast<std::uint32_t>(disks_.size());
        label.generation = generation;
        label.role = replay::DiskRole::running;
        FMVM_TRY(disks_[i].map->set_label(label));
    }
    return {};
}

Result<void> MirroredDisks::release() {
    for (Disk& disk : disks_) {
        FMVM_TRY(disk.image->check_size());
        const auto prune = disk.map->begin_prune(replay::DirtyBlockMap::Prune::all);
        if (const Result<void> synced = disk.image->sync(); !synced.ok()) {
            FMVM_TRY(disk.map->flush_failed());
            return synced;
        }
        if (prune) disk.map->end_prune(*prune, true);
        replay::DiskLabel label = disk.map->label();
        label.role = replay::DiskRole::clean;
        FMVM_TRY(disk.map->set_label(label));
    }
    return {};
}

void MirroredDisks::generation_changed(Generation generation) {
    if (recorder_ != nullptr) recorder_->set_generation(generation);
    const Result<void> changed = run_under(disks_.front().map->label().vm, generation);
    if (changed.ok()) return;
    log::error(
        "primary",
        "{}; should this host stop now, the image would be taken for an older one than it is: "
        "make the label's file system work and switch over",
        changed.error().message());
}

Result<void> MirroredDisks::begin() {
    FMVM_CHECK(!resync_ && uncommitted_.empty() && !scrubber_);
    blocks_.begin();
    std::vector<DiskResync::Disk> disks;
    for (const Disk& disk : disks_)
        disks.push_back({disk.map, disk.image.get()});
    resync_.emplace(std::move(disks));
    digests_turn_ = false;
    cut_last_ = 0;
    next_check_ = 1;
    return {};
}

// A block that is read now holds every change that was taken from the log before, and those that
// complete later come behind it in the stream.
Result<OutgoingMessage> MirroredDisks::next_initial() {
    FMVM_CHECK(resync_ && cut_last_ == 0);
    OutgoingMessage answer = resync_->next_answer();
    if (!answer.empty()) return answer;
    if (!FMVM_TRY(resync_->is_named())) return OutgoingMessage{};  // what is logged waits
    // What the guest changed and digests take turns: a guest that writes as fast as the link takes
    // it would keep the comparison from its end.
    if (std::exchange(digests_turn_, false)) {
        OutgoingMessage digests = FMVM_TRY(next_digests());
        return digests.empty() ? next_mirrored() : std::move(digests);
    }
    OutgoingMessage mirrored = next_mirrored();
    digests_turn_ = !mirrored.empty();
    return mirrored.empty() ? next_digests() : std::move(mirrored);
}

OutgoingMessage MirroredDisks::next_mirrored() {
    return {FrameType::block_log, blocks_.next_mirrored()};
}

Result<OutgoingMessage> MirroredDisks::next_digests() {
    if (!blocks_.may_cut()) return OutgoingMessage{};
    FMVM_TRY(resync_->read_digests());
    return resync_->next_answer();
}

OutgoingMessage MirroredDisks::rest_of_initial() {
    return {FrameType::block_log, blocks_.rest_of_mirrored()};
}

std::string MirroredDisks::progress() const {
    FMVM_CHECK(resync_.has_value());
    return resync_->progress();
}

bool MirroredDisks::awaits_backup() const {
    return resync_ && resync_->awaits_answer();
}

Result<void> MirroredDisks::message(const Frame& frame) {
    FMVM_CHECK(resync_.has_value());
    return resync_->message(frame);
}

void MirroredDisks::close(EpochId epoch) {
    FMVM_CHECK(resync_ && epoch == cut_last_ + 1);
    FMVM_CHECK(epoch != 1 || may_cut());  // else the backup could take over with other disks
    cut_last_ = epoch;
    blocks_.close();
    if (recorder_ != nullptr) recorder_->close_epoch(epoch);
    EpochChanges changes;
    changes.epoch = epoch;
    for (const Disk& disk : disks_) {
        changes.blocks.push_back(disk.map->take_touched());
        disk.map->count_sent();
    }
    uncommitted_.push_back(std::move(changes));
    if (scrubber_) scrubber_->cut();
}

OutgoingMessage MirroredDisks::next_message(EpochId epoch) {
    FMVM_CHECK(epoch == cut_last_);
    GatheredBody body = blocks_.next_body(epoch);
    if (body.empty()) return resync_->next_serial();
    return {FrameType::block_log, std::move(body)};
}

void MirroredDisks::committed(EpochId epoch) {
    FMVM_CHECK(!uncommitted_.empty() && uncommitted_.front().epoch == epoch);
    if (recorder_ != nullptr) recorder_->commit(epoch);
    EpochChanges changes = std::move(uncommitted_.front());
    uncommitted_.pop_front();
    for (const Disk& disk : disks_)
        disk.map->count_heard();
    clear_committed(std::move(changes));
    FMVM_CHECK(uncommitted_.size() == cut_last_ - epoch);
}

// Blocks that a later epoch has changed again stay marked for that one.
void MirroredDisks::clear_committed(EpochChanges changes) {
    for (std::size_t i = 0; i < disks_.size(); ++i) {
        for (const EpochChanges& later : uncommitted_)
            changes.blocks[i] = replay::without(changes.blocks[i], later.blocks[i]);
        disks_[i].map->clear(changes.blocks[i]);
    }
}

replay::Scrubber* MirroredDisks::begin_scrub(std::uint64_t bytes_per_second) {
    FMVM_CHECK(cut_last_ != 0);
    end_scrub();
    std::vector<replay::Scrubber::Disk> disks;
    for (const Disk& disk : disks_)
        disks.push_back({disk.map, disk.image.get()});
    return &scrubber_.emplace(std::move(disks), bytes_per_second, next_check_,
                              std::chrono::steady_clock::now());
}

void MirroredDisks::end_scrub() {
    if (scrubber_) next_check_ = scrubber_->next_number();
    scrubber_.reset();
}

// What was not committed stays marked. The guest runs on alone, so that it counts here.
void MirroredDisks::end() {
    end_scrub();
    blocks_.end();
    if (recorder_ != nullptr) recorder_->commit_all();
    resync_.reset();
    uncommitted_.clear();
    cut_last_ = 0;
}

}  // namespace fmvm::lockstep
