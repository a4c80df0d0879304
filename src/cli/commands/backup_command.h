// SPDX-License-Identifier: Apache-2.0
// `fmvm backup`: waits for a primary, follows it, and goes on with its guest when it dies.
#pragma once

#include "node/config/protection_options.h"

namespace fmvm::cli {

// Returns an ExitStatus as the process's exit status.
int backup_command(const node::BackupCommandOptions& options);

}  // namespace fmvm::cli
