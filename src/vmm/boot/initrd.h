// SPDX-License-Identifier: Apache-2.0
// The initial RAM disk: as high as it fits below the device hole and below what the kernel takes.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "vmm/boot/image_source.h"
#include "vmm/boot/placement.h"
#include "vmm/memory/guest_address.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm::boot {

struct PlacedInitrd {
    GuestAddress start;
    std::uint64_t size = 0;
};

// address_max: the highest address its last byte may have (setup_header::initrd_addr_max).
Result<PlacedInitrd> load_initrd(const ImageSource& source, std::uint32_t address_max,
                                 GuestMemory& memory, Placement& placement);

}  // namespace fmvm::boot
