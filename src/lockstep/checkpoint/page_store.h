// SPDX-License-Identifier: Apache-2.0
// Memory for copies of guest pages: those that a cut staged, and those that were sent last. Both
// share one bounded budget. The host provides a page of it when it is first used.
//
// Threads: the replication thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/result.h"
#include "base/units.h"

namespace fmvm::lockstep {

class PageStore {
  public:
    using Slot = std::uint32_t;
    static constexpr Slot none = UINT32_MAX;

    static Result<std::shared_ptr<PageStore>> create(std::uint64_t bytes);
    PageStore(const PageStore&) = delete;
    PageStore& operator=(const PageStore&) = delete;
    ~PageStore();

    // none: the budget is used up. The slots freed last are given first, because the caches have
    // them.
    Slot allocate();
    // A second user of the slot: it is free when each has freed it.
    void share(Slot slot) { ++users_[slot]; }
    void free(Slot slot) {
        FMVM_CHECK(users_[slot] != 0);
        if (--users_[slot] == 0) free_.push_back(slot);
    }
    // Lets the host provide the memory of the next `count` slots now, not during a cut.
    void provide(std::size_t count);
    std::size_t free_count() const { return free_.size() + (capacity_ - used_); }

    std::span<std::uint8_t, page_size> bytes(Slot slot) {
        return std::span<std::uint8_t, page_size>(base_ + std::uint64_t{slot} * page_size,
                                                  page_size);
    }

  private:
    PageStore(std::uint8_t* base, std::uint32_t capacity) : base_(base), capacity_(capacity) {}

    std::uint8_t* base_;
    std::uint32_t capacity_;
    std::vector<std::uint8_t> users_;  // of each slot below used_; at most its owner and a lease
    std::uint32_t used_ = 0;           // slots below this were given out at least once
    std::uint32_t provided_ = 0;       // slots below this have memory
    std::vector<Slot> free_;
};

// Users of slots whose content is on its way to the peer. Its destructor frees them.
class SlotLease {
  public:
    explicit SlotLease(std::shared_ptr<PageStore> store) : store_(std::move(store)) {}
    SlotLease(const SlotLease&) = delete;
    SlotLease& operator=(const SlotLease&) = delete;
    ~SlotLease() {
        for (const PageStore::Slot slot : slots_)
            store_->free(slot);
    }
    void add(PageStore::Slot slot) {
        store_->share(slot);
        slots_.push_back(slot);
    }

  private:
    const std::shared_ptr<PageStore> store_;
    std::vector<PageStore::Slot> slots_;
};

}  // namespace fmvm::lockstep
