// SPDX-License-Identifier: Apache-2.0
#include "replay/scrub/scrubber.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace fmvm::replay {

namespace {

// Reading makes up for a timer that comes late, up to this.
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
        block_count_ += left_.back().bound();
        progress_.bytes_total += disk.map->image_bytes();
    }
    left_count_ = block_count_;
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
    if (all_touched()) return std::nullopt;
    std::optional<Place> place = find_left(look_from_);
    if (!place) {
        first_pass_ = false;
        place = find_left({});
    }
    look_from_ = {place->disk, place->block + 1};
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

void Scrubber::move_to(CheckMessage& message, const Place& place, std::uint64_t digest) {
    message.disk = static_cast<std::uint8_t>(place.disk);
    message.blocks.push_back({place.block, digest});
    left_[place.disk].erase(place.block);
    --left_count_;
}

void Scrubber::put_back(const CheckMessage& message) {
    for (const BlockDigest& block : message.blocks)
        left_[message.disk].insert(block.block);
    left_count_ += message.blocks.size();
}

void Scrubber::cut() {
    put_back(std::exchange(held_, {}));
    touched_in_row_ = 0;
    if (first_pass_ || failure_) return;
    for (unsigned i = 0; i < looks_at_cut; ++i) {
        std::optional<Place> place = find_left(cut_looks_from_);
        if (!place) place = find_left({});
        if (!place) return;
        cut_looks_from_ = {place->disk, place->block + 1};
        if (is_touched(*place)) continue;
        const auto found = digest(*place);
        if (!found.ok()) {
            failure_ = found.error();
        } else if (found.value()) {
            move_to(held_, *place, *found.value());
        }
        break;
    }
    check_states();
}

Result<std::optional<CheckMessage>> Scrubber::next(std::uint64_t epoch, TimePoint now) {
    const auto nothing = std::optional<CheckMessage>();
    if (failure_) return *failure_;
    if (!held_.blocks.empty()) return std::optional(send(std::exchange(held_, {}), epoch));
    if (now < due()) return nothing;
    CheckMessage message;
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < blocks_at_a_time; ++i) {
        const std::optional<Place> place = next_place();
        if (!place) break;
        if (!message.blocks.empty() && place->disk != message.disk) {
            look_from_ = *place;
            break;
        }
        const auto found = digest(*place);
        if (!found.ok()) {
            put_back(message);
            return found.error();
        }
        bytes += bytes_of_block(place->block, disks_[place->disk].map->image_bytes());
        if (found.value()) {
            touched_in_row_ = 0;
            move_to(message, *place, *found.value());
        } else {
            ++touched_in_row_;
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
    Unanswered check{message.number, message.blocks.size(), 0};
    for (const BlockDigest& block : message.blocks)
        check.bytes += bytes_of_block(block.block, disks_[message.disk].map->image_bytes());
    on_way_count_ += check.blocks;
    unanswered_.push_back(check);
    check_states();
    return message;
}

Result<void> Scrubber::on_checked(const CheckedMessage& message) {
    if (!unanswered_.empty() && message.number == unanswered_.front().number) {
        const Unanswered& check = unanswered_.front();
        on_way_count_ -= check.blocks;
        equal_count_ += check.blocks;
        progress_.bytes_equal += check.bytes;
        unanswered_.pop_front();
        check_states();
        return {};
    }
    if (message.number < first_number_) return {};
    return make_error("it answered check {} of its disks out of turn", message.number);
}

Scrubber::TimePoint Scrubber::due() const {
    if (failure_ || !held_.blocks.empty()) return TimePoint::min();
    if (on_way_count_ >= blocks_on_way_max || all_touched()) return TimePoint::max();
    return due_;
}

// Each block is in one state.
void Scrubber::check_states() const {
    FMVM_CHECK(left_count_ + held_.blocks.size() + on_way_count_ + equal_count_ == block_count_);
    FMVM_CHECK((on_way_count_ == 0) == unanswered_.empty());
}

}  // namespace fmvm::replay
