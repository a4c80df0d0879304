// SPDX-License-Identifier: Apache-2.0
#include "lockstep/disks/disk_resync.h"

#include <algorithm>
#include <utility>

#include "base/crash_point.h"
#include "base/log.h"

namespace fmvm::lockstep {

namespace {

// A backup names its disks right behind its welcome: some megabytes for the map of a large disk,
// over a link that may be slow. The guest's requests may wait for that.
constexpr std::chrono::seconds naming_max{10};

// The guest runs here on a state that it has left behind, and the backup has a later one.
Result<void> check_nothing_is_lost(std::size_t disk, const replay::DirtyBlockMap& map,
                                   const replay::KnownMessage& backup) {
    const bool holds_a_state = backup.role != replay::DiskRole::syncing;
    if (!holds_a_state || basis_with(map, backup) != replay::PairBasis::primary_behind) return {};
    return make_error(
        "disk {}: the primary's image is older than the backup's, as if a copy was put back; what "
        "the guest wrote since then is only at the backup and is not overwritten; let the guest "
        "go on over there, or give that side another image",
        disk);
}

}  // namespace

DiskResync::DiskResync(std::vector<Disk> disks)
    : disks_(std::move(disks)), known_(disks_.size()), sources_(disks_.size()) {}

Result<void> DiskResync::message(const Frame& frame) {
    FMVM_TRY(handle(frame));
    tell_if_compared();
    return {};
}

Result<void> DiskResync::handle(const Frame& frame) {
    switch (frame.type) {
        case FrameType::disk_known:
            return known(FMVM_TRY(replay::KnownMessage::decode(frame.body)));
        case FrameType::disk_ready:
            return ready(FMVM_TRY(replay::ReadyMessage::decode(frame.body)));
        case FrameType::disk_wanted:
            return wanted(FMVM_TRY(replay::WantedMessage::decode(frame.body)));
        case FrameType::disk_serial:
            return serial(FMVM_TRY(replay::SerialMessage::decode(frame.body)));
        default: {
            const auto done = FMVM_TRY(replay::DoneMessage::decode(frame.body));
            replay::ResyncSource* const of_disk = FMVM_TRY(source(done.disk));
            return of_disk->on_done(done);
        }
    }
}

Result<void> DiskResync::known(replay::KnownMessage message) {
    const std::size_t disk = message.disk;
    if (disk >= known_.size() || known_[disk])
        return make_error("it named disk {} out of turn", disk);
    known_[disk] = std::move(message);
    named_last_ = Clock::now();
    const bool all =
        std::ranges::all_of(known_, [](const auto& known) { return known.has_value(); });
    return all ? begin() : Result<void>();
}

// Looks at all disks before anything changes on one.
Result<void> DiskResync::begin() {
    for (std::size_t i = 0; i < disks_.size(); ++i)
        FMVM_TRY(check_nothing_is_lost(i, *disks_[i].map, *known_[i]));
    for (std::size_t i = 0; i < disks_.size(); ++i) {
        auto source = std::make_unique<replay::ResyncSource>(static_cast<std::uint8_t>(i),
                                                             *disks_[i].map, *disks_[i].image);
        answer(FrameType::disk_begin, FMVM_TRY(source->begin(*known_[i])));
        if (const char* const why = why_all(source->basis()); why != nullptr)
            log::warning("primary", "disk {}: {}: all of it is compared", i, why);
        sources_[i] = std::move(source);
    }
    named_last_ = Clock::now();  // writing the labels has taken its time
    return {};
}

Result<void> DiskResync::ready(const replay::ReadyMessage& message) {
    replay::ResyncSource* const of_disk = FMVM_TRY(source(message.disk));
    FMVM_TRY(of_disk->on_ready(message));
    serials_.begin(message.disk, *disks_[message.disk].map);
    return {};
}

Result<void> DiskResync::serial(const replay::SerialMessage& message) {
    replay::ResyncSource* const of_disk = FMVM_TRY(source(message.disk));
    if (!of_disk->ready())
        return make_error("it told the serial of disk {} out of turn", message.disk);
    disks_[message.disk].map->hear_serial(message.serial);
    return {};
}

Result<void> DiskResync::wanted(const replay::WantedMessage& message) {
    crash_point("resync-wanted");
    replay::ResyncSource* const of_disk = FMVM_TRY(source(message.disk));
    const auto bodies = FMVM_TRY(of_disk->on_wanted(message));
    for (const replay::BlocksMessage& body : bodies)
        answer(FrameType::disk_blocks, body);
    return {};
}

Result<replay::ResyncSource*> DiskResync::source(std::uint8_t disk) {
    if (disk >= sources_.size() || !sources_[disk])
        return make_error("it sent a message about disk {}, which it has not named", disk);
    return sources_[disk].get();
}

// What was read for an answer was written after its region became active.
OutgoingMessage DiskResync::next_answer() {
    if (answers_.empty()) return {};
    OutgoingMessage serial = next_serial();
    if (!serial.empty()) return serial;
    OutgoingMessage message = std::move(answers_.front());
    answers_.pop_front();
    return message;
}

Result<bool> DiskResync::is_named() const {
    if (all_named()) return true;
    if (Clock::now() - named_last_ < naming_max) return false;
    return Error("the backup does not say what it knows of its disks");
}

Result<void> DiskResync::read_digests() {
    for (const auto& source : sources_) {
        const auto digests = FMVM_TRY(source->next());
        if (!digests) continue;
        answer(FrameType::disk_digests, *digests);
        break;
    }
    return {};
}

bool DiskResync::all_named() const {
    return std::ranges::all_of(sources_, [](const auto& source) { return source != nullptr; });
}

bool DiskResync::awaits_answer() const {
    return std::ranges::any_of(
        sources_, [](const auto& source) { return source && source->awaits_target(); });
}

bool DiskResync::all_compared() const {
    return std::ranges::all_of(sources_,
                               [](const auto& source) { return source && source->finished(); });
}

replay::ResyncProgress DiskResync::total() const {
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

double DiskResync::seconds() const {
    return std::chrono::duration<double>(Clock::now() - began_).count();
}

void DiskResync::tell_if_compared() {
    if (told_ || !all_compared()) return;
    told_ = true;
    log::info("primary", "disks are equal: compared={} copied={} seconds={:.3f}",
              total().blocks_total, total().bytes_copied, seconds());
}

std::string DiskResync::progress() const {
    if (!all_named()) return "waiting for the backup's disks";
    const replay::ResyncProgress all = total();
    const double per_second = static_cast<double>(all.blocks_done) / seconds();
    const auto left = static_cast<double>(all.blocks_total - all.blocks_done);
    return fmt::format(
        "comparing disks with the backup: {:3.0f} %, {:.0f} MiB/s, {} MiB copied, {:.0f} s left",
        100.0 * static_cast<double>(all.blocks_done) /
            static_cast<double>(std::max<std::uint64_t>(1, all.blocks_total)),
        per_second * static_cast<double>(replay::disk_block_bytes) / static_cast<double>(mib),
        all.bytes_copied / mib, per_second > 0 ? left / per_second : 0.0);
}

}  // namespace fmvm::lockstep
