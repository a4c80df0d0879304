// SPDX-License-Identifier: Apache-2.0
// Guest RAM: the only owner, and the only place where the VMM's own writes are marked dirty.
//
// The guest runs on other threads and may change any byte at any moment, so nothing here hands out
// references for parsing: read() copies out once, write() copies in and marks. host_range() is for
// I/O by the kernel alone (iovecs, KVM slots); whoever lets the kernel write through it calls
// mark_dirty() when the write is complete. All accesses are checked: a range that is not wholly
// inside one region fails and touches nothing.
//
// Threads: every function may be called from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "vmm/memory/guest_address.h"
#include "vmm/memory/page_set.h"

namespace fmvm {

struct MemoryRegion {
    GuestAddress start;
    std::uint64_t size = 0;        // bytes, a multiple of page_size
    std::uint8_t* host = nullptr;  // where start is mapped in this process
    std::uint64_t first_page = 0;  // index of its first page in the dirty marks
};

class GuestMemory {
  public:
    // Reserves RAM for each (start, size); sizes are multiples of the page size, ranges ascend and
    // do not overlap. Pages are allocated by the host when first touched.
    struct Range {
        GuestAddress start;
        std::uint64_t size;
    };
    static Result<GuestMemory> allocate(std::span<const Range> ranges);

    GuestMemory(GuestMemory&&) noexcept;
    GuestMemory& operator=(GuestMemory&&) = delete;
    ~GuestMemory();

    [[nodiscard]] bool read(GuestAddress address, std::span<std::uint8_t> out) const;
    [[nodiscard]] bool write(GuestAddress address, std::span<const std::uint8_t> bytes);

    // Ring indices: naturally aligned 16-bit accesses with acquire / release order.
    [[nodiscard]] bool load_acquire(GuestAddress address, std::uint16_t& out) const;
    [[nodiscard]] bool store_release(GuestAddress address, std::uint16_t value);

    template <typename T>
    [[nodiscard]] bool read_object(GuestAddress address, T& out) const {
        static_assert(std::is_trivially_copyable_v<T>);
        return read(address, {reinterpret_cast<std::uint8_t*>(&out), sizeof out});
    }
    template <typename T>
    [[nodiscard]] bool write_object(GuestAddress address, const T& object) {
        static_assert(std::is_trivially_copyable_v<T>);
        return write(address, {reinterpret_cast<const std::uint8_t*>(&object), sizeof object});
    }

    // The mapped bytes of [address, address + length), or nullptr when any of it is not RAM.
    // length 0 is never RAM.
    std::uint8_t* host_range(GuestAddress address, std::uint64_t length) const;
    bool contains(GuestAddress address, std::uint64_t length) const {
        return host_range(address, length) != nullptr;
    }

    // Pages that the VMM or the kernel on its behalf wrote; KVM's dirty log does not see those.
    void mark_dirty(GuestAddress address, std::uint64_t length);
    // Takes and clears the marks: bit i of word i/64 is page i, regions in order. Only while every
    // other writer stands (Machine::quiesce): a mark made at the same time might be lost.
    std::vector<std::uint64_t> take_dirty_marks();

    // Adds the pages that the range touches; none if it is not wholly RAM.
    void add_pages(GuestAddress address, std::uint64_t length, PageSet& pages) const;

    // One page by its number (see page_set.h), which must be below page_count(). For copying whole
    // pages to and from checkpoints: who writes through it makes sure that nobody needs the mark.
    std::span<std::uint8_t, page_size> page(PageIndex index) const;
    std::uint64_t page_count() const { return total_pages_; }
    // Where such a page is in the guest's address space, and which page holds an address of RAM.
    GuestAddress page_address(PageIndex index) const;
    PageIndex page_of(GuestAddress address) const;

    const std::vector<MemoryRegion>& regions() const { return regions_; }
    std::uint64_t total_bytes() const { return total_pages_ * page_size; }
    // First address behind the highest region.
    GuestAddress end() const;

  private:
    GuestMemory() = default;
    const MemoryRegion* find(GuestAddress address, std::uint64_t length) const;
    void mark_pages(const MemoryRegion& region, std::uint64_t offset, std::uint64_t length);

    std::vector<MemoryRegion> regions_;
    std::uint64_t total_pages_ = 0;
    std::unique_ptr<std::atomic<std::uint64_t>[]> dirty_words_;
    std::size_t dirty_word_count_ = 0;
};

}  // namespace fmvm
