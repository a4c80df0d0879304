// SPDX-License-Identifier: Apache-2.0
// The command lines of the commands that talk to a running fmvm.
#pragma once

#include "cli/commands/snapshot_command.h"
#include "cli/commands/switchover_command.h"
#include "cli/commands/verify_command.h"
#include "cli/options/command.h"

namespace fmvm::cli {

Command snapshot_line();
Command switchover_line();
Command verify_line();

Result<SnapshotOptions> snapshot_options(const Arguments& arguments);
Result<SwitchoverOptions> switchover_options(const Arguments& arguments);
Result<VerifyCommandOptions> verify_options(const Arguments& arguments);

}  // namespace fmvm::cli
