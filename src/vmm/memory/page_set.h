// SPDX-License-Identifier: Apache-2.0
// A set of guest pages. Pages are numbered through all regions of GuestMemory in order, without
// the holes between them (MemoryRegion::first_page).
#pragma once

#include <cstdint>

#include "base/bit_set.h"

namespace fmvm {

using PageIndex = std::uint32_t;  // 16 TiB of RAM

class PageSet : public BitSet<PageIndex> {
  public:
    using BitSet::BitSet;
    std::uint64_t page_count() const { return bound(); }
};

}  // namespace fmvm
