// SPDX-License-Identifier: Apache-2.0
// The command line of `fmvm key`.
#pragma once

#include "cli/commands/key_command.h"
#include "cli/options/command.h"

namespace fmvm::cli {

Command key_line();
Result<KeyOptions> key_options(const Arguments& arguments);

}  // namespace fmvm::cli
