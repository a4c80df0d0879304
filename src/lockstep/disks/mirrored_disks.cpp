// SPDX-License-Identifier: Apache-2.0
#include "lockstep/disks/mirrored_disks.h"

#include <algorithm>
#include <utility>

#include "base/crash_point.h"
#include "base/log.h"

namespace fmvm::lockstep {

namespace {

// A backup says it right behind its welcome: some megabytes for the map of a large disk, over a
// link that may be slow. The guest's requests may wait for that.
constexpr std::chrono::seconds naming_max{10};

std::vector<replay::BlockIndex> without(const std::vector<replay::BlockIndex>& blocks,
                                        const std::vector<replay::BlockIndex>& others) {
    std::vector<replay::BlockIndex> rest;
    std::ranges::set_difference(blocks, others, std::back_inserter(rest));
    return rest;
}

}  // namespace

MirroredDisks::MirroredDisks(replay::BlockLog& log, const GuestMemory& memory,
                             std::vector<Disk> disks, replay::PayloadMode mode,
                             replay::EpochRecorder* recorder)
    : blocks_(log, memory, mode), disks_(std::move(disks)), recorder_(recorder) {}

Result<void> MirroredDisks::run_under(const VmId& vm, Generation generation) {
    for (std::size_t i = 0; i < disks_.size(); ++i) {
        replay::DiskLabel label = disks_[i].map->label();
        label.vm = vm;
        label.disk = static_cast<std::uint32_t>(i);
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
    blocks_.begin();
    sources_.clear();
    sources_.resize(disks_.size());
    outgoing_.clear();
    changes_.clear();
    began_ = naming_began_ = std::chrono::steady_clock::now();
    told_ = false;
    next_check_ = 1;
    return {};
}

// A block that is read now holds every change that was taken from the log before, and those that
// complete later come behind it in the stream.
Result<OutgoingMessage> MirroredDisks::next_initial() {
    if (!outgoing_.empty()) {
        OutgoingMessage piece = std::move(outgoing_.front());
        outgoing_.pop_front();
        return piece;
    }
    // Not before each image's label says that it is being made equal. What is logged meanwhile
    // waits.
    if (!std::ranges::all_of(sources_, [](const auto& source) { return source != nullptr; })) {
        if (std::chrono::steady_clock::now() - naming_began_ < naming_max) return OutgoingMessage{};
        return Error("the backup does not say what it knows of its disks");
    }
    // In turns: a guest that writes as fast as the link takes it would keep the comparison from its
    // end.
    OutgoingMessage piece;
    if (std::exchange(compare_next_, false)) {
        piece = FMVM_TRY(next_digests());
        return piece.empty() ? next_mirrored() : std::move(piece);
    }
    piece = next_mirrored();
    compare_next_ = !piece.empty();
    return piece.empty() ? next_digests() : std::move(piece);
}

OutgoingMessage MirroredDisks::next_mirrored() {
    return {FrameType::block_log, blocks_.next_mirrored()};
}

OutgoingMessage MirroredDisks::rest_of_initial() {
    return {FrameType::block_log, blocks_.rest_of_mirrored()};
}

Result<OutgoingMessage> MirroredDisks::next_digests() {
    if (!blocks_.may_cut()) return OutgoingMessage{};
    for (const auto& source : sources_) {
        const auto digests = FMVM_TRY(source->next());
        if (digests) return OutgoingMessage{FrameType::disk_digests, digests->encode()};
    }
    return OutgoingMessage{};
}

bool MirroredDisks::equal() const {
    return outgoing_.empty() && compared();
}

bool MirroredDisks::compared() const {
    return std::ranges::all_of(sources_,
                               [](const auto& source) { return source && source->finished(); });
}

replay::ResyncProgress MirroredDisks::total() const {
    replay::ResyncProgress all;
    for (const auto& source : sources_) {
        if (!source) continue;
        all.blocks_total += source->progress().blocks_total;
        all.blocks_done += source->progress().blocks_done;
        all.bytes_copied += source->progress().bytes_copied;
        all.bytes_equal += source->progress().bytes_equal;
    }
    return all;
}

void MirroredDisks::tell_if_compared() {
    if (told_ || !compared()) return;
    told_ = true;
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - began_;
    log::info("primary", "disks are equal: compared={} copied={} seconds={:.3f}",
              total().blocks_total, total().bytes_copied, passed.count());
}

std::string MirroredDisks::progress() const {
    if (!std::ranges::all_of(sources_, [](const auto& source) { return source != nullptr; }))
        return "waiting for the backup's disks";
    const replay::ResyncProgress all = total();
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - began_;
    const double per_second = static_cast<double>(all.blocks_done) / passed.count();
    const auto left = static_cast<double>(all.blocks_total - all.blocks_done);
    return fmt::format(
        "comparing disks with the backup: {:3.0f} %, {:.0f} MiB/s, {} MiB copied, {:.0f} s left",
        100.0 * static_cast<double>(all.blocks_done) /
            static_cast<double>(std::max<std::uint64_t>(1, all.blocks_total)),
        per_second * static_cast<double>(replay::disk_block_bytes) / static_cast<double>(mib),
        all.bytes_copied / mib, per_second > 0 ? left / per_second : 0.0);
}

Result<replay::ResyncSource*> MirroredDisks::source(std::uint8_t disk) {
    if (disk >= sources_.size() || !sources_[disk])
        return make_error("it sent a message about disk {}, which it has not named", disk);
    return sources_[disk].get();
}

Result<void> MirroredDisks::message(const Frame& frame) {
    FMVM_TRY(handle(frame));
    tell_if_compared();
    return {};
}

Result<void> MirroredDisks::handle(const Frame& frame) {
    switch (frame.type) {
        case FrameType::disk_known:
            return known(FMVM_TRY(replay::KnownMessage::decode(frame.body)));
        case FrameType::disk_ready: {
            const auto ready = FMVM_TRY(replay::ReadyMessage::decode(frame.body));
            replay::ResyncSource* const of_disk = FMVM_TRY(source(ready.disk));
            return of_disk->on_ready(ready);
        }
        case FrameType::disk_wanted:
            return wanted(FMVM_TRY(replay::WantedMessage::decode(frame.body)));
        default: {
            const auto done = FMVM_TRY(replay::DoneMessage::decode(frame.body));
            replay::ResyncSource* const of_disk = FMVM_TRY(source(done.disk));
            return of_disk->on_done(done);
        }
    }
}

Result<void> MirroredDisks::known(const replay::KnownMessage& message) {
    if (message.disk >= sources_.size() || sources_[message.disk])
        return make_error("it named disk {} out of turn", message.disk);
    Disk& disk = disks_[message.disk];
    auto source = std::make_unique<replay::ResyncSource>(message.disk, *disk.map, *disk.image);
    queue(FrameType::disk_begin, FMVM_TRY(source->begin(message)));
    sources_[message.disk] = std::move(source);
    naming_began_ = std::chrono::steady_clock::now();  // writing the label has taken its time
    return {};
}

Result<void> MirroredDisks::wanted(const replay::WantedMessage& message) {
    crash_point("resync-wanted");
    replay::ResyncSource* const of_disk = FMVM_TRY(source(message.disk));
    const auto bodies = FMVM_TRY(of_disk->on_wanted(message));
    for (const replay::BlocksMessage& body : bodies)
        queue(FrameType::disk_blocks, body);
    return {};
}

void MirroredDisks::close(EpochId epoch) {
    blocks_.close();
    if (recorder_ != nullptr) recorder_->close_epoch(epoch);
    EpochChanges changes;
    changes.epoch = epoch;
    for (const Disk& disk : disks_)
        changes.blocks.push_back(disk.map->take_touched());
    changes_.push_back(std::move(changes));
    if (scrubber_) scrubber_->cut();
}

OutgoingMessage MirroredDisks::next_piece(EpochId epoch) {
    return {FrameType::block_log, blocks_.next_body(epoch)};
}

void MirroredDisks::committed(EpochId epoch) {
    if (recorder_ != nullptr) recorder_->commit(epoch);
    while (!changes_.empty() && changes_.front().epoch <= epoch) {
        EpochChanges changes = std::move(changes_.front());
        changes_.pop_front();
        for (std::size_t i = 0; i < disks_.size(); ++i) {
            for (const EpochChanges& later : changes_)
                changes.blocks[i] = without(changes.blocks[i], later.blocks[i]);
            disks_[i].map->clear(changes.blocks[i]);
        }
    }
}

replay::Scrubber& MirroredDisks::begin_scrub(std::uint64_t bytes_per_second) {
    end_scrub();
    std::vector<replay::Scrubber::Disk> disks;
    for (const Disk& disk : disks_)
        disks.push_back({disk.map, disk.image.get()});
    return scrubber_.emplace(std::move(disks), bytes_per_second, next_check_,
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
    sources_.clear();
    outgoing_.clear();
    changes_.clear();
}

}  // namespace fmvm::lockstep
