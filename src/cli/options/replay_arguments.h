// SPDX-License-Identifier: Apache-2.0
// The command line of `fmvm replay`.
#pragma once

#include "cli/commands/replay_command.h"
#include "cli/options/command.h"

namespace fmvm::cli {

Command replay_line();
Result<ReplayOptions> replay_options(const Arguments& arguments);

}  // namespace fmvm::cli
