// SPDX-License-Identifier: Apache-2.0
// The partitions of a raw disk, GPT or MBR, as Linux would name them. The disk is hostile: nothing
// of it is trusted further than it was checked, and a table has bounds here that the specifications
// do not have.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "vmm/boot/image_source.h"

namespace fmvm::node {

struct Partition {
    unsigned number = 0;   // from 1, as in /dev/vda1
    std::string partuuid;  // what root=PARTUUID= wants
    bool operator==(const Partition&) const = default;
};

struct PartitionTable {
    enum class Kind { none, gpt, mbr };

    Kind kind = Kind::none;  // none: the whole disk may be a file system
    std::vector<Partition> partitions;
};

// Logical partitions of an MBR are not followed: no cloud image has one. Errors name the disk.
Result<PartitionTable> read_partition_table(const boot::ImageSource& disk);

}  // namespace fmvm::node
