// SPDX-License-Identifier: Apache-2.0
// Memory for the bytes of a block request. It is page-aligned for direct I/O, and counts against a
// budget for as long as it lives.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/mutex.h"

namespace fmvm::replay {

class PayloadBudget;

// Move-only. Its destructor gives the bytes back to the budget, on any thread.
class Payload {
  public:
    Payload() = default;
    Payload(Payload&& other) noexcept
        : budget_(std::move(other.budget_)), memory_(other.memory_), size_(other.size_) {
        other.memory_ = nullptr;
        other.size_ = 0;
    }
    Payload& operator=(Payload&& other) noexcept {
        std::swap(budget_, other.budget_);
        std::swap(memory_, other.memory_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Payload();

    std::span<std::uint8_t> bytes() { return {memory_, size_}; }
    std::span<const std::uint8_t> bytes() const { return {memory_, size_}; }
    bool empty() const { return memory_ == nullptr; }

  private:
    friend class PayloadBudget;
    Payload(std::shared_ptr<PayloadBudget> budget, std::uint8_t* memory, std::size_t size)
        : budget_(std::move(budget)), memory_(memory), size_(size) {}

    std::shared_ptr<PayloadBudget> budget_;
    std::uint8_t* memory_ = nullptr;
    std::size_t size_ = 0;
};

// How many bytes may be held at a time. Memory that was given back is kept, up to a limit, for the
// next payload of its size, because mapping pages anew costs more than filling them.
class PayloadBudget : public std::enable_shared_from_this<PayloadBudget> {
  public:
    explicit PayloadBudget(std::uint64_t bytes) : limit_(bytes) {}
    ~PayloadBudget();
    PayloadBudget(const PayloadBudget&) = delete;
    PayloadBudget& operator=(const PayloadBudget&) = delete;

    // Nothing while there is no room. A payload that is larger than the budget gets its memory when
    // no other is left.
    std::optional<Payload> take(std::size_t size);
    // Counts what is held in other memory; given back by uncharge().
    void charge(std::uint64_t bytes);
    void uncharge(std::uint64_t bytes);
    bool is_exceeded() const;

    // The handler is called, on any thread, when there is room after take() had none, or after the
    // budget was exceeded. It only notifies. Null: it is not called any more once this returns.
    void on_room(std::function<void()> handler);

  private:
    friend class Payload;
    // Sizes are rounded up to 4 KiB << class.
    static constexpr std::size_t class_count = 9;
    static constexpr std::uint64_t kept_bytes_max = 16 << 20;
    static std::size_t class_of(std::size_t size);
    void give_back(std::uint8_t* memory, std::size_t size);
    void release(std::uint64_t bytes);

    const std::uint64_t limit_;
    mutable Mutex mutex_;
    std::uint64_t used_ FMVM_GUARDED_BY(mutex_) = 0;
    mutable bool starved_ FMVM_GUARDED_BY(mutex_) = false;
    std::array<std::vector<std::uint8_t*>, class_count> kept_ FMVM_GUARDED_BY(mutex_);
    std::uint64_t kept_bytes_ FMVM_GUARDED_BY(mutex_) = 0;
    Mutex handler_mutex_;
    std::function<void()> room_handler_ FMVM_GUARDED_BY(handler_mutex_);
};

}  // namespace fmvm::replay
