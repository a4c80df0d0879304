// SPDX-License-Identifier: Apache-2.0
// The command line of `fmvm import`.
#pragma once

#include "cli/commands/import_command.h"
#include "cli/options/command.h"

namespace fmvm::cli {

Command import_line();
Result<ImportOptions> import_options(const Arguments& arguments);

}  // namespace fmvm::cli
