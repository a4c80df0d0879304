// SPDX-License-Identifier: Apache-2.0
#include "replay/scrub/scrubber.h"

#include <algorithm>
#include <utility>

namespace fmvm::replay {

namespace {

// A timer that comes late is made up for, up to this.
constexpr std::chrono::milliseconds catch_up{50};
// How many blocks a cut looks at to find one to read.
constexpr unsigned looks_at_cut = 64;

}  // namespace

Scrubber::Scrubber(std::vector<Disk> disks, std::uint64_t bytes_per_second,
                   std::uint64_t first_number, TimePoint now)
    : disks_(std::move(disks)),
      bytes_per_second_(static_cast<double>(bytes_per_second)),
      due_(now),
      first_number_(first_number),
      next_number_(first_number) {
    for (const Disk& disk : disks_) {
        left_.emplace_back(disk_block_count(disk.map->image_bytes()));
        left_.back().insert_all();
        left_count_ += left_.back().bound();
        progress_.bytes_total += disk.map->image_bytes();
    }
}

// Not before `from`; nothing when the end was reached.
std::optional<Scrubber::Place> Scrubber::find_left(Place from) const {
    for (; from.disk < left_.size(); from = {from.disk + 1, 0}) {
        const BlockIndex block = left_[from.disk].next(from.block);
        if (block < left_[from.disk].bound()) return Place{from.disk, block};
    }
    return std::nullopt;
}

std::optional<Scrubber::Place> Scrubber::next_place() {
    if (all_tried()) return std::nullopt;
    std::optional<Place> place = find_left(at_);
    if (!place) {
        first_pass_ = false;
        place = find_left({});
    }
    at_ = {place->disk, place->block + 1};
    return place;
}

bool Scrubber::is_touched(const Place& place) const {
    return disks_[place.disk].map->is_touched(place.block);
}

Result<std::optional<std::uint64_t>> Scrubber::digest(const Place& place) {
    const auto touched = std::optional<std::uint64_t>();
    if (is_touched(place)) return touched;
    const std::uint64_t found = FMVM_TRY(disks_[place.disk].image->digest(place.block));
    if (is_touched(place)) return touched;
    return std::optional(found);
}

void Scrubber::take(const Place& place, std::uint64_t digest, CheckMessage& message) {
    message.disk = static_cast<std::uint8_t>(place.disk);
    message.blocks.push_back({place.block, digest});
    left_[place.disk].erase(place.block);
    --left_count_;
}

void Scrubber::give_back(const CheckMessage& message) {
    for (const BlockDigest& block : message.blocks)
        left_[message.disk].insert(block.block);
    left_count_ += message.blocks.size();
}

// What an earlier cut has read, and nobody took, is not what it was any more.
void Scrubber::cut() {
    give_back(std::exchange(from_cut_, {}));
    tried_ = 0;
    if (first_pass_ || failure_) return;
    for (unsigned i = 0; i < looks_at_cut; ++i) {
        std::optional<Place> place = find_left(at_cut_);
        if (!place) place = find_left({});
        if (!place) return;
        at_cut_ = {place->disk, place->block + 1};
        if (is_touched(*place)) continue;
        const auto found = digest(*place);
        if (!found.ok()) {
            failure_ = found.error();
        } else if (found.value()) {
            take(*place, *found.value(), from_cut_);
        }
        return;
    }
}

Result<std::optional<CheckMessage>> Scrubber::next(std::uint64_t epoch, TimePoint now) {
    const auto nothing = std::optional<CheckMessage>();
    if (failure_) return *failure_;
    if (!from_cut_.blocks.empty()) return std::optional(send(std::exchange(from_cut_, {}), epoch));
    if (now < due()) return nothing;
    CheckMessage message;
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < blocks_at_a_time; ++i) {
        const std::optional<Place> place = next_place();
        if (!place) break;
        if (!message.blocks.empty() && place->disk != message.disk) {
            at_ = *place;
            break;
        }
        const auto found = FMVM_TRY(digest(*place));
        bytes += bytes_of_block(place->block, disks_[place->disk].map->image_bytes());
        if (found) {
            tried_ = 0;
            take(*place, *found, message);
        } else {
            ++tried_;
        }
    }
    pay(bytes, now);
    if (message.blocks.empty()) return nothing;
    return std::optional(send(std::move(message), epoch));
}

void Scrubber::pay(std::uint64_t bytes, TimePoint now) {
    const std::chrono::duration<double> time(static_cast<double>(bytes) / bytes_per_second_);
    due_ = std::max<TimePoint>(due_, now - catch_up) +
           std::chrono::duration_cast<TimePoint::duration>(time);
}

CheckMessage Scrubber::send(CheckMessage message, std::uint64_t epoch) {
    message.number = next_number_++;
    message.epoch = epoch;
    OnWay on_way{message.number, message.blocks.size(), 0};
    for (const BlockDigest& block : message.blocks)
        on_way.bytes += bytes_of_block(block.block, disks_[message.disk].map->image_bytes());
    blocks_on_way_ += on_way.blocks;
    on_way_.push_back(on_way);
    return message;
}

Result<void> Scrubber::on_checked(const CheckedMessage& message) {
    if (!on_way_.empty() && message.number == on_way_.front().number) {
        blocks_on_way_ -= on_way_.front().blocks;
        progress_.bytes_equal += on_way_.front().bytes;
        on_way_.pop_front();
        return {};
    }
    if (message.number < first_number_) return {};
    return make_error("it answered check {} of its disks out of turn", message.number);
}

Scrubber::TimePoint Scrubber::due() const {
    if (failure_ || !from_cut_.blocks.empty()) return TimePoint::min();
    if (blocks_on_way_ >= blocks_on_way_max || all_tried()) return TimePoint::max();
    return due_;
}

}  // namespace fmvm::replay
