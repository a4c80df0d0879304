// SPDX-License-Identifier: Apache-2.0
// The disks that a backup is given to be overwritten. What is on one without a label nobody knows,
// so it is taken only if there is nothing on it, or if its user says so.
#pragma once

#include <vector>

#include "base/result.h"
#include "devices/block/disk_image.h"
#include "node/config/machine_options.h"

namespace fmvm::node {

// Every byte is zero. Holes of a file count, and are not read.
Result<bool> is_all_zeroes(const DiskImage& image);

// Refuses a disk without a label that names its guest, unless it holds nothing but zeroes. With
// `accept_any` such a disk is taken, and the log says first what will be overwritten. Reads at most
// the image once.
Result<void> check_new_disks(const std::vector<DiskOptions>& disks, bool accept_any);

}  // namespace fmvm::node
