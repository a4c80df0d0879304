// SPDX-License-Identifier: Apache-2.0
// Whether a guest finds on a backup the disks that it has on its primary.
#pragma once

#include <vector>

#include "base/result.h"
#include "vmm/machine/machine_shape.h"

namespace fmvm::node {

// An error names the first disk that differs, and all that differs about it.
Result<void> compare_disks(const std::vector<DiskShape>& primary,
                           const std::vector<DiskShape>& backup);

}  // namespace fmvm::node
