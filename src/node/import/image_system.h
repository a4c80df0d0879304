// SPDX-License-Identifier: Apache-2.0
// The system in a raw disk image: where its root is, which kernel it has, and whether both will
// find fmvm's disks.
#pragma once

#include <string>

#include "base/result.h"
#include "node/import/image_reader.h"
#include "node/import/kernel_choice.h"
#include "node/import/partition_table.h"

namespace fmvm::node {

struct ImageSystem {
    std::string name;         // harmless text
    std::string root;         // what root= is to be
    std::string root_device;  // GRUB's names
    std::string kernel_device;
    std::string kernel_directory;  // with a slash at its end
    KernelFiles kernel;
};

// Errors continue "image NAME: ".
Result<ImageSystem> find_system(const ImageReader& reader, const PartitionTable& table);

// One sentence about what its initial RAM disk (a file of the host; empty: it has none) lacks, or
// may lack, to find a root on a virtio-mmio disk. Empty when nothing is wrong.
Result<std::string> disk_driver_warning(const ImageReader& reader, const ImageSystem& system,
                                        const std::string& initrd);

}  // namespace fmvm::node
