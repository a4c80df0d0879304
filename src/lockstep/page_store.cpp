// SPDX-License-Identifier: Apache-2.0
#include "lockstep/page_store.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

namespace fmvm::lockstep {

Result<PageStore> PageStore::create(std::uint64_t bytes) {
    const auto capacity = static_cast<std::uint32_t>(bytes / page_size);
    void* base = ::mmap(nullptr, capacity * page_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return errno_error(errno, fmt::format("cannot reserve {} MiB to stage pages", bytes / mib));
    ::madvise(base, capacity * page_size, MADV_HUGEPAGE);
    ::madvise(base, capacity * page_size, MADV_DONTDUMP);
    return PageStore(static_cast<std::uint8_t*>(base), capacity);
}

PageStore::PageStore(PageStore&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)),
      capacity_(other.capacity_),
      used_(other.used_),
      provided_(other.provided_),
      free_(std::move(other.free_)) {}

PageStore::~PageStore() {
    if (base_ != nullptr) ::munmap(base_, capacity_ * page_size);
}

PageStore::Slot PageStore::allocate() {
    if (!free_.empty()) {
        const Slot slot = free_.back();
        free_.pop_back();
        return slot;
    }
    return used_ < capacity_ ? used_++ : none;
}

void PageStore::provide(std::size_t count) {
    const std::size_t fresh = count > free_.size() ? count - free_.size() : 0;
    const auto until = std::min<std::size_t>(capacity_, used_ + fresh);
    for (; provided_ < until; ++provided_)
        base_[std::uint64_t{provided_} * page_size] = 0;
}

}  // namespace fmvm::lockstep
