// SPDX-License-Identifier: Apache-2.0
// Memory for copies of guest pages: what a cut staged, and what was sent last. One bounded budget
// for both; the host provides a page of it when it is first used.
//
// Threads: the replication thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace fmvm::lockstep {

class PageStore {
  public:
    using Slot = std::uint32_t;
    static constexpr Slot none = UINT32_MAX;

    static Result<PageStore> create(std::uint64_t bytes);
    PageStore(PageStore&& other) noexcept;
    PageStore& operator=(PageStore&&) = delete;
    ~PageStore();

    // none: the budget is used up. Slots freed last are given first, because they are warm.
    Slot allocate();
    void free(Slot slot) { free_.push_back(slot); }
    // Lets the host provide the memory of the next `count` slots now rather than during a cut.
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
    std::uint32_t used_ = 0;      // slots below this were given out at least once
    std::uint32_t provided_ = 0;  // slots below this have memory
    std::vector<Slot> free_;
};

}  // namespace fmvm::lockstep
