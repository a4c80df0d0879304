// SPDX-License-Identifier: Apache-2.0
#include "support/guest_ram.h"

namespace fmvm::test {

namespace {

GuestMemory allocate(std::uint64_t size) {
    const GuestMemory::Range range{GuestAddress(0), size};
    return GuestMemory::allocate({&range, 1}).value();
}

}  // namespace

GuestRam::GuestRam(std::uint64_t size) : memory_(allocate(size)) {}

GuestAddress GuestRam::take(std::uint64_t size, std::uint64_t alignment) {
    const GuestAddress address(align_up(next_, alignment));
    next_ = address.value() + size;
    FMVM_CHECK(next_ <= memory_.total_bytes());
    return address;
}

void GuestRam::poke_bytes(GuestAddress address, std::span<const std::uint8_t> bytes) {
    for (std::size_t i = 0; i < bytes.size();) {
        const std::uint64_t left_in_page = page_size - (address + i).value() % page_size;
        const std::size_t part = std::min<std::uint64_t>(bytes.size() - i, left_in_page);
        std::uint8_t* host = memory_.host_range(address + i, part);
        if (host != nullptr) std::memcpy(host, bytes.data() + i, part);
        i += part;
    }
}

Bytes GuestRam::peek_bytes(GuestAddress address, std::uint64_t size) const {
    Bytes bytes(size, 0xff);
    for (std::uint64_t i = 0; i < size;) {
        const std::uint64_t left_in_page = page_size - (address + i).value() % page_size;
        const std::uint64_t part = std::min(size - i, left_in_page);
        const std::uint8_t* host = memory_.host_range(address + i, part);
        if (host != nullptr) std::memcpy(bytes.data() + i, host, part);
        i += part;
    }
    return bytes;
}

void GuestRam::poke_release(GuestAddress address, std::uint16_t value) {
    auto* host = reinterpret_cast<std::uint16_t*>(memory_.host_range(address, sizeof value));
    if (host != nullptr) __atomic_store_n(host, value, __ATOMIC_SEQ_CST);
}

std::uint16_t GuestRam::peek_acquire(GuestAddress address) const {
    auto* host = reinterpret_cast<std::uint16_t*>(memory_.host_range(address, 2));
    return host != nullptr ? __atomic_load_n(host, __ATOMIC_SEQ_CST) : 0xffff;
}

std::vector<std::uint64_t> GuestRam::take_dirty_pages() {
    std::vector<std::uint64_t> pages;
    const std::vector<std::uint64_t> marks = memory_.take_dirty_marks();
    for (std::uint64_t page = 0; page < marks.size() * 64; ++page) {
        if ((marks[page / 64] >> page % 64 & 1) != 0) pages.push_back(page);
    }
    return pages;
}

}  // namespace fmvm::test
