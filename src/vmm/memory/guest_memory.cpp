// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/guest_memory.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

namespace fmvm {

namespace {

constexpr std::uint64_t huge_page = 2 * mib;

// Maps size bytes at a 2 MiB boundary, so that the kernel can back them with huge pages.
Result<std::uint8_t*> map_region(std::uint64_t size) {
    const std::uint64_t padded = size + huge_page;
    void* base = ::mmap(nullptr, padded, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return make_error("cannot reserve {} MiB of guest memory: {}; lower --memory", size / mib,
                          std::strerror(errno));
    }
    auto* bytes = static_cast<std::uint8_t*>(base);
    const auto start = reinterpret_cast<std::uintptr_t>(bytes);
    const std::uint64_t head = align_up(start, huge_page) - start;
    if (head != 0) ::munmap(bytes, head);
    if (padded - head != size) ::munmap(bytes + head + size, padded - head - size);
    // Advice only: a host without transparent huge pages refuses it and works all the same.
    ::madvise(bytes + head, size, MADV_HUGEPAGE);
    ::madvise(bytes + head, size, MADV_DONTDUMP);
    return bytes + head;
}

}  // namespace

Result<GuestMemory> GuestMemory::allocate(std::span<const Range> ranges) {
    GuestMemory memory;
    GuestAddress previous_end(0);
    for (const Range& range : ranges) {
        FMVM_CHECK(range.size != 0 && is_aligned(range.size, page_size));
        FMVM_CHECK(range.start >= previous_end && is_aligned(range.start.value(), page_size));
        std::uint8_t* host = FMVM_TRY(map_region(range.size));
        memory.regions_.push_back({range.start, range.size, host, memory.total_pages_});
        memory.total_pages_ += range.size / page_size;
        previous_end = range.start + range.size;
    }
    FMVM_CHECK(!memory.regions_.empty());
    memory.dirty_word_count_ = (memory.total_pages_ + 63) / 64;
    memory.dirty_words_ = std::make_unique<std::atomic<std::uint64_t>[]>(memory.dirty_word_count_);
    return memory;
}

GuestMemory::GuestMemory(GuestMemory&& other) noexcept
    : regions_(std::exchange(other.regions_, {})),
      total_pages_(other.total_pages_),
      dirty_words_(std::move(other.dirty_words_)),
      dirty_word_count_(other.dirty_word_count_) {}

GuestMemory::~GuestMemory() {
    for (const MemoryRegion& region : regions_)
        ::munmap(region.host, region.size);
}

const MemoryRegion* GuestMemory::find(GuestAddress address, std::uint64_t length) const {
    for (const MemoryRegion& region : regions_) {
        const std::uint64_t offset = address - region.start;  // huge when address < start
        if (range_fits(offset, length, region.size) && offset < region.size) return &region;
    }
    return nullptr;
}

std::uint8_t* GuestMemory::host_range(GuestAddress address, std::uint64_t length) const {
    if (length == 0) return nullptr;
    const MemoryRegion* region = find(address, length);
    return region == nullptr ? nullptr : region->host + (address - region->start);
}

bool GuestMemory::read(GuestAddress address, std::span<std::uint8_t> out) const {
    if (out.empty()) return true;
    const std::uint8_t* host = host_range(address, out.size());
    if (host == nullptr) return false;
    std::memcpy(out.data(), host, out.size());
    return true;
}

bool GuestMemory::write(GuestAddress address, std::span<const std::uint8_t> bytes) {
    if (bytes.empty()) return true;
    const MemoryRegion* region = find(address, bytes.size());
    if (region == nullptr) return false;
    const std::uint64_t offset = address - region->start;
    std::memcpy(region->host + offset, bytes.data(), bytes.size());
    mark_pages(*region, offset, bytes.size());
    return true;
}

bool GuestMemory::load_acquire(GuestAddress address, std::uint16_t& out) const {
    auto* host = host_range(address, sizeof out);
    if (host == nullptr || !is_aligned(address.value(), sizeof out)) return false;
    out = __atomic_load_n(reinterpret_cast<std::uint16_t*>(host), __ATOMIC_ACQUIRE);
    return true;
}

bool GuestMemory::store_release(GuestAddress address, std::uint16_t value) {
    const MemoryRegion* region = find(address, sizeof value);
    if (region == nullptr || !is_aligned(address.value(), sizeof value)) return false;
    const std::uint64_t offset = address - region->start;
    __atomic_store_n(reinterpret_cast<std::uint16_t*>(region->host + offset), value,
                     __ATOMIC_RELEASE);
    mark_pages(*region, offset, sizeof value);
    return true;
}

std::span<std::uint8_t, page_size> GuestMemory::page(PageIndex index) const {
    for (const MemoryRegion& region : regions_) {
        const std::uint64_t offset = (index - region.first_page) * page_size;
        if (index >= region.first_page && offset < region.size)
            return std::span<std::uint8_t, page_size>(region.host + offset, page_size);
    }
    FMVM_CHECK(false && "no such page");
    std::abort();
}

GuestAddress GuestMemory::page_address(PageIndex index) const {
    for (const MemoryRegion& region : regions_) {
        const std::uint64_t offset = (index - region.first_page) * page_size;
        if (index >= region.first_page && offset < region.size) return region.start + offset;
    }
    FMVM_CHECK(false && "no such page");
    std::abort();
}

PageIndex GuestMemory::page_of(GuestAddress address) const {
    const MemoryRegion* const region = find(address, 1);
    FMVM_CHECK(region != nullptr);
    return static_cast<PageIndex>(region->first_page + (address - region->start) / page_size);
}

void GuestMemory::mark_dirty(GuestAddress address, std::uint64_t length) {
    if (length == 0) return;
    const MemoryRegion* region = find(address, length);
    if (region != nullptr) mark_pages(*region, address - region->start, length);
}

void GuestMemory::add_pages(GuestAddress address, std::uint64_t length, PageSet& pages) const {
    const MemoryRegion* region = length != 0 ? find(address, length) : nullptr;
    if (region == nullptr) return;
    const std::uint64_t offset = address - region->start;
    const std::uint64_t last = region->first_page + (offset + length - 1) / page_size;
    for (std::uint64_t page = region->first_page + offset / page_size; page <= last; ++page)
        pages.insert(static_cast<PageIndex>(page));
}

void GuestMemory::mark_pages(const MemoryRegion& region, std::uint64_t offset,
                             std::uint64_t length) {
    const std::uint64_t first = region.first_page + offset / page_size;
    const std::uint64_t last = region.first_page + (offset + length - 1) / page_size;
    for (std::uint64_t page = first; page <= last; ++page) {
        const std::uint64_t bit = std::uint64_t{1} << (page % 64);
        std::atomic<std::uint64_t>& word = dirty_words_[page / 64];
        // The load keeps hot pages (rings, status bytes) free of locked operations. It must not be
        // reordered before the write that it marks; on x86 both orders end marked, because a
        // taker parks every writer before it exchanges the word.
        if ((word.load(std::memory_order_relaxed) & bit) == 0) {
            word.fetch_or(bit, std::memory_order_release);
        }
    }
}

std::vector<std::uint64_t> GuestMemory::take_dirty_marks() {
    std::vector<std::uint64_t> marks(dirty_word_count_);
    for (std::size_t i = 0; i < dirty_word_count_; ++i) {
        if (dirty_words_[i].load(std::memory_order_relaxed) != 0) {
            marks[i] = dirty_words_[i].exchange(0, std::memory_order_acquire);
        }
    }
    return marks;
}

GuestAddress GuestMemory::end() const {
    const MemoryRegion& last = regions_.back();
    return last.start + last.size;
}

}  // namespace fmvm
