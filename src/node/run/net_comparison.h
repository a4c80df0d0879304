// SPDX-License-Identifier: Apache-2.0
// Whether a guest finds on a backup the network cards that it has on its primary.
#pragma once

#include <vector>

#include "base/result.h"
#include "vmm/machine/machine_shape.h"

namespace fmvm::node {

// An error names the first card that differs, and all that differs about it.
Result<void> compare_nets(const std::vector<NetShape>& primary,
                          const std::vector<NetShape>& backup);

}  // namespace fmvm::node
