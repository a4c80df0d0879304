// SPDX-License-Identifier: Apache-2.0
// `fmvm run`: builds the machine, runs it in the foreground, and says how it ended.
#pragma once

#include "node/config/machine_options.h"

namespace fmvm::cli {

// Returns an ExitStatus as the process's exit status.
int run_command(const node::MachineOptions& options);

}  // namespace fmvm::cli
