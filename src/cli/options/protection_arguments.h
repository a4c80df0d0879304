// SPDX-License-Identifier: Apache-2.0
// The command lines of `fmvm primary` and `fmvm backup`.
#pragma once

#include "cli/options/command.h"
#include "node/config/protection_options.h"

namespace fmvm::cli {

Command primary_line();
Command backup_line();

Result<node::PrimaryCommandOptions> primary_options(const Arguments& arguments);
Result<node::BackupCommandOptions> backup_options(const Arguments& arguments);

}  // namespace fmvm::cli
