// SPDX-License-Identifier: Apache-2.0
// Which guest RAM the boot images occupy. Every image claims its range here before a byte of it is
// copied; what does not fit is refused with the amount of memory that would do.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "vmm/boot/image_source.h"
#include "vmm/memory/guest_address.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm::boot {

class Placement {
  public:
    explicit Placement(const GuestMemory& memory);

    // Takes [start, start + size) for a part of source; what names the part in messages.
    Result<void> claim(const ImageSource& source, std::string_view what, GuestAddress start,
                       std::uint64_t size);
    // Takes the highest free page-aligned range of `size` bytes that ends at or below limit and in
    // RAM below the device hole.
    Result<GuestAddress> claim_highest(const ImageSource& source, std::uint64_t size,
                                       GuestAddress limit);

    bool covers(GuestAddress address) const;

  private:
    struct Claim {
        GuestAddress start;
        GuestAddress end;
    };
    const Claim* overlap(GuestAddress start, GuestAddress end) const;
    GuestAddress low_memory_end() const;

    const GuestMemory& memory_;
    std::vector<Claim> claims_;
};

}  // namespace fmvm::boot
