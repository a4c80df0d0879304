// SPDX-License-Identifier: Apache-2.0
// Every disk is taken as raw. One that looks like another format (qcow2, VMDK, ...) was probably
// given by mistake: its guest would see the container, and overwrite it.
//
// But a guest may write such a header to its raw disk, too, and must not be able to keep itself
// from being started. So a disk that has run stays raw: it has a label, or this mark, an extended
// attribute of its file.
#pragma once

#include "base/result.h"
#include "devices/block/disk_image.h"
#include "node/config/machine_options.h"

namespace fmvm::node {

// Refuses an image that looks like another format, unless the user says that it is raw or it has
// run. Of a disk that cannot be marked (a device, a file system without such attributes) nobody
// knows whether it has run: then a warning says so.
Result<void> check_raw(const DiskOptions& disk, const DiskImage& image);

// Before a guest runs on an image without a label. A failure is a warning.
void mark_raw(const DiskImage& image);

}  // namespace fmvm::node
