// SPDX-License-Identifier: Apache-2.0
#include "lockstep/output/console_gate.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

static_assert(ConsoleGate::held_bytes_max <= output_bytes_max);

ConsoleGate::ConsoleGate(OutputSink& downstream, std::uint64_t position, Now now)
    : downstream_(downstream),
      now_(std::move(now)),
      held_position_(position),
      closed_position_(position) {}

void ConsoleGate::write(std::span<const std::uint8_t> bytes) {
    bool begins_to_wait = false;
    {
        const Lock lock(mutex_);
        if (!holding_) {
            held_position_ += bytes.size();
            closed_position_ = held_position_;
            downstream_.write(bytes);
            return;
        }
        if (bytes.size() > held_bytes_max - held_.size()) {
            if (!std::exchange(dropping_, true))
                log::warning("console", "the guest does not wait for room; output is being lost");
            return;
        }
        held_.insert(held_.end(), bytes.begin(), bytes.end());
        begins_to_wait = !waiting_since_;
        if (begins_to_wait) waiting_since_ = now_();
    }
    if (begins_to_wait && waiting_handler_) waiting_handler_();
}

bool ConsoleGate::has_room() const {
    const Lock lock(mutex_);
    const bool room = held_.size() < room_limit && downstream_.has_room();
    if (!room) starved_ = true;
    return room;
}

void ConsoleGate::on_room(std::function<void()> handler) {
    room_handler_ = handler;
    downstream_.on_room(std::move(handler));
}

std::uint64_t ConsoleGate::unwritten() const {
    const Lock lock(mutex_);
    return held_.size() + downstream_.unwritten();
}

std::vector<std::uint8_t> ConsoleGate::unwritten_bytes() const {
    const Lock lock(mutex_);
    std::vector<std::uint8_t> bytes = downstream_.unwritten_bytes();
    bytes.insert(bytes.end(), held_.begin(), held_.end());
    return bytes;
}

void ConsoleGate::begin_at(std::uint64_t position) {
    const Lock lock(mutex_);
    FMVM_CHECK(!holding_ && held_.empty());
    held_position_ = closed_position_ = position;
}

void ConsoleGate::hold() {
    const Lock lock(mutex_);
    holding_ = true;
}

void ConsoleGate::open() {
    bool room_again = false;
    {
        const Lock lock(mutex_);
        release_locked(held_position_ + held_.size());
        holding_ = false;
        waiting_since_.reset();
        closed_position_ = held_position_;
        room_again = std::exchange(starved_, false);
    }
    if (room_again && room_handler_) room_handler_();
}

std::optional<ConsoleGate::Clock::time_point> ConsoleGate::waiting_since() const {
    const Lock lock(mutex_);
    return waiting_since_;
}

ConsoleGate::EpochOutput ConsoleGate::close_epoch() {
    const Lock lock(mutex_);
    const auto taken = static_cast<std::ptrdiff_t>(closed_position_ - held_position_);
    EpochOutput output{closed_position_, {held_.begin() + taken, held_.end()}};
    closed_position_ += output.bytes.size();
    waiting_since_.reset();
    return output;
}

ConsoleGate::EpochOutput ConsoleGate::close_first_epoch() {
    EpochOutput output = close_epoch();
    const std::vector<std::uint8_t> earlier = downstream_.unwritten_bytes();
    FMVM_CHECK(earlier.size() <= output.position);  // all of it came through here
    output.position -= earlier.size();
    output.bytes.insert(output.bytes.begin(), earlier.begin(), earlier.end());
    return output;
}

void ConsoleGate::release(std::uint64_t position) {
    bool room_again = false;
    {
        const Lock lock(mutex_);
        FMVM_CHECK(position <= closed_position_);
        release_locked(position);
        room_again = starved_ && held_.size() < room_limit / 2;
        if (room_again) starved_ = false;
    }
    if (room_again && room_handler_) room_handler_();
}

void ConsoleGate::release_locked(std::uint64_t position) {
    if (position <= held_position_) return;
    const auto count = static_cast<std::size_t>(position - held_position_);
    downstream_.write(std::span(held_).first(count));
    held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(count));
    held_position_ = position;
}

std::uint64_t ConsoleGate::position() const {
    const Lock lock(mutex_);
    return held_position_ + held_.size();
}

std::uint64_t ConsoleGate::shown() const {
    const Lock lock(mutex_);
    return held_position_ - std::min(held_position_, downstream_.unwritten());
}

}  // namespace fmvm::lockstep
