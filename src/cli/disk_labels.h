// SPDX-License-Identifier: Apache-2.0
// The labels of the disks that a guest without protection runs on: an image that belongs to a
// protected guest, which may have gone on elsewhere, is not run by mistake, and one that is run is
// known to have gone its own way.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/run_options.h"
#include "devices/block/disk_image.h"

namespace fmvm::cli {

// Where the label of this disk is, if there is one.
std::string label_path(const DiskOptions& disk);

// Whether the image may run without protection. Changes nothing.
Result<void> check_label(const DiskOptions& disk);

// Durably, before the guest starts: these images, locked by us, belong to no protected guest any
// more. An image without a label gets none.
Result<void> leave_protection(const std::vector<DiskOptions>& disks,
                              const std::vector<const DiskImage*>& images);

}  // namespace fmvm::cli
