// SPDX-License-Identifier: Apache-2.0
// `fmvm primary`: runs a machine and keeps a backup in step.
#pragma once

#include "node/config/protection_options.h"

namespace fmvm::cli {

// Returns an ExitStatus as the process's exit status.
int primary_command(const node::PrimaryCommandOptions& options);

}  // namespace fmvm::cli
