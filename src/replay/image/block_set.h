// SPDX-License-Identifier: Apache-2.0
// A set of blocks of a disk, in the unit in which two disks are compared and made equal. The last
// block of a disk may be shorter than the others.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/bit_set.h"
#include "base/units.h"

namespace fmvm::replay {

using BlockIndex = std::uint64_t;
using BlockSet = BitSet<BlockIndex>;

// Blocks that follow one another: `first` and those after it, up to below `end`.
struct BlockRun {
    BlockIndex first = 0;
    BlockIndex end = 0;
    auto operator<=>(const BlockRun&) const = default;
};
// Of blocks of one disk, ascending, and none touches the next.
using BlockRuns = std::vector<BlockRun>;

// What of `runs` is not in `others`. Both ascend.
BlockRuns without(const BlockRuns& runs, const BlockRuns& others);

inline constexpr std::uint64_t disk_block_bytes = 64 * kib;

constexpr std::uint64_t disk_block_count(std::uint64_t disk_bytes) {
    return disk_bytes / disk_block_bytes + (disk_bytes % disk_block_bytes != 0 ? 1 : 0);
}

// Of a block below disk_block_count().
constexpr std::uint64_t bytes_of_block(BlockIndex block, std::uint64_t disk_bytes) {
    return std::min(disk_block_bytes, disk_bytes - block * disk_block_bytes);
}

}  // namespace fmvm::replay
