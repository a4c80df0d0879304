// SPDX-License-Identifier: Apache-2.0
// A little guest RAM for tests, seen from the guest's side: its own loads and stores, which the
// VMM neither checks nor marks dirty, and an allocator that never frees.
#pragma once

#include <span>
#include <vector>

#include "vmm/memory/guest_memory.h"

namespace fmvm::test {

using Bytes = std::vector<std::uint8_t>;

class GuestRam {
  public:
    explicit GuestRam(std::uint64_t size = 256 * kib);

    GuestMemory& memory() { return memory_; }
    GuestAddress end() const { return memory_.end(); }

    // Fresh bytes, zero. Page 0 is never given out, so that address 0 stays a mistake.
    GuestAddress take(std::uint64_t size, std::uint64_t alignment = 16);

    // As the guest's CPU does it: what is not RAM swallows stores and reads as all ones.
    void poke_bytes(GuestAddress address, std::span<const std::uint8_t> bytes);
    Bytes peek_bytes(GuestAddress address, std::uint64_t size) const;
    void poke_release(GuestAddress address, std::uint16_t value);
    std::uint16_t peek_acquire(GuestAddress address) const;

    template <typename T>
    void poke(GuestAddress address, const T& value) {
        poke_bytes(address, {reinterpret_cast<const std::uint8_t*>(&value), sizeof value});
    }
    template <typename T>
    T peek(GuestAddress address) const {
        const Bytes bytes = peek_bytes(address, sizeof(T));
        T value;
        std::memcpy(&value, bytes.data(), sizeof value);
        return value;
    }

    // The pages marked dirty since the last call, as page numbers, ascending.
    std::vector<std::uint64_t> take_dirty_pages();

  private:
    GuestMemory memory_;
    std::uint64_t next_ = page_size;
};

// Page number of an address.
inline std::uint64_t page_of(GuestAddress address) {
    return address.value() / page_size;
}

}  // namespace fmvm::test
