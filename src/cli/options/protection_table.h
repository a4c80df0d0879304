// SPDX-License-Identifier: Apache-2.0
// The options by which a guest is kept in step with a backup. A default is what the structs of
// node/config hold before anything is given; the unit test compares the two.
#pragma once

#include <span>

#include "cli/options/option.h"
#include "node/config/protection_options.h"

namespace fmvm::cli {

// In the order of --help.
std::span<const Option<node::ReplicationOptions>> replication_table();

}  // namespace fmvm::cli
