// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/page_store.h"

#include <sys/mman.h>

#include <algorithm>

namespace fmvm::lockstep {

Result<std::shared_ptr<PageStore>> PageStore::create(std::uint64_t bytes) {
    const auto capacity = static_cast<std::uint32_t>(bytes / page_size);
    void* base = ::mmap(nullptr, capacity * page_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return errno_error(
            errno,
            fmt::format("cannot reserve {} MiB to stage pages; lower --staging", bytes / mib));
    ::madvise(base, capacity * page_size, MADV_HUGEPAGE);
    ::madvise(base, capacity * page_size, MADV_DONTDUMP);
    return std::shared_ptr<PageStore>(new PageStore(static_cast<std::uint8_t*>(base), capacity));
}

PageStore::~PageStore() {
    ::munmap(base_, capacity_ * page_size);
}

PageStore::Slot PageStore::allocate() {
    if (!free_.empty()) {
        const Slot slot = free_.back();
        free_.pop_back();
        users_[slot] = 1;
        return slot;
    }
    if (used_ == capacity_) return none;
    users_.push_back(1);
    return used_++;
}

void PageStore::provide(std::size_t count) {
    const std::size_t fresh = count > free_.size() ? count - free_.size() : 0;
    const auto until = std::min<std::size_t>(capacity_, used_ + fresh);
    provided_ = std::max(provided_, used_);  // those have memory since they were written
    for (; provided_ < until; ++provided_)
        base_[std::uint64_t{provided_} * page_size] = 0;
}

}  // namespace fmvm::lockstep
