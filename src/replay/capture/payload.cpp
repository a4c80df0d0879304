// SPDX-License-Identifier: Apache-2.0
#include "replay/capture/payload.h"

#include <bit>
#include <cstdlib>

#include "base/check.h"
#include "base/units.h"

namespace fmvm::replay {

Payload::~Payload() {
    if (memory_ != nullptr) budget_->give_back(memory_, size_);
}

PayloadBudget::~PayloadBudget() {
    for (const auto& memories : kept_) {
        for (std::uint8_t* memory : memories)
            std::free(memory);
    }
}

// class_count: too large to be kept.
std::size_t PayloadBudget::class_of(std::size_t size) {
    const std::size_t pages = (size + page_size - 1) / page_size;
    const auto order = static_cast<std::size_t>(std::bit_width(pages - 1));
    return std::min(order, class_count);
}

std::optional<Payload> PayloadBudget::take(std::size_t size) {
    FMVM_CHECK(size != 0);
    const std::size_t order = class_of(size);
    std::uint8_t* memory = nullptr;
    {
        const Lock lock(mutex_);
        if (used_ != 0 && used_ + size > limit_) {
            starved_ = true;
            return std::nullopt;
        }
        used_ += size;
        if (order < class_count && !kept_[order].empty()) {
            memory = kept_[order].back();
            kept_[order].pop_back();
            kept_bytes_ -= page_size << order;
        }
    }
    if (memory == nullptr) {
        const std::size_t rounded =
            order < class_count ? page_size << order : align_up(size, page_size);
        memory = static_cast<std::uint8_t*>(std::aligned_alloc(page_size, rounded));
        FMVM_CHECK(memory != nullptr);
    }
    return Payload(shared_from_this(), memory, size);
}

void PayloadBudget::give_back(std::uint8_t* memory, std::size_t size) {
    const std::size_t order = class_of(size);
    {
        const Lock lock(mutex_);
        if (order < class_count && kept_bytes_ + (page_size << order) <= kept_bytes_max) {
            kept_[order].push_back(memory);
            kept_bytes_ += page_size << order;
            memory = nullptr;
        }
    }
    std::free(memory);
    release(size);
}

void PayloadBudget::charge(std::uint64_t bytes) {
    const Lock lock(mutex_);
    used_ += bytes;
}

void PayloadBudget::uncharge(std::uint64_t bytes) {
    release(bytes);
}

void PayloadBudget::release(std::uint64_t bytes) {
    bool room = false;
    {
        const Lock lock(mutex_);
        used_ -= bytes;
        room = starved_ && used_ <= limit_ / 2;
        if (room) starved_ = false;
    }
    if (!room) return;
    const Lock lock(handler_mutex_);
    if (room_handler_) room_handler_();
}

bool PayloadBudget::is_exceeded() const {
    const Lock lock(mutex_);
    if (used_ > limit_) starved_ = true;
    return used_ > limit_;
}

void PayloadBudget::on_room(std::function<void()> handler) {
    const Lock lock(handler_mutex_);
    room_handler_ = std::move(handler);
}

}  // namespace fmvm::replay
