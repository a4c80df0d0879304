// SPDX-License-Identifier: Apache-2.0
#include "vmm/board/layout.h"

#include <algorithm>

namespace fmvm::layout {

std::vector<GuestMemory::Range> ram_ranges(std::uint64_t bytes) {
    const std::uint64_t below = std::min(bytes, mmio_hole_start.value());
    std::vector<GuestMemory::Range> ranges{{GuestAddress(0), below}};
    if (bytes > below) ranges.push_back({mmio_hole_end, bytes - below});
    return ranges;
}

std::vector<MemoryMapEntry> memory_map(const GuestMemory& memory) {
    constexpr std::uint32_t usable = 1;
    constexpr std::uint32_t reserved = 2;
    std::vector<MemoryMapEntry> map{
        {GuestAddress(0), base_memory_end.value(), usable},
        {base_memory_end, high_memory - base_memory_end, reserved},
    };
    for (const MemoryRegion& region : memory.regions()) {
        const GuestAddress start = std::max(region.start, high_memory);
        map.push_back({start, (region.start + region.size) - start, usable});
    }
    return map;
}

}  // namespace fmvm::layout
