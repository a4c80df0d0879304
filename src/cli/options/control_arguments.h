// SPDX-License-Identifier: Apache-2.0
// The words of the commands that talk to a running fmvm, and how they become options.
#pragma once

#include "cli/commands/snapshot_command.h"
#include "cli/commands/switchover_command.h"
#include "cli/commands/verify_command.h"
#include "cli/options/run_arguments.h"

namespace fmvm::cli {

struct ControlArguments {
    std::vector<std::string> control, to, only, rate;
    bool stop = false;
};

CLI::App* add_snapshot(CLI::App& app, ControlArguments& words);
CLI::App* add_switchover(CLI::App& app, ControlArguments& words);
CLI::App* add_verify(CLI::App& app, ControlArguments& words);

Result<SnapshotOptions> snapshot_options(const ControlArguments& words);
Result<SwitchoverOptions> switchover_options(const ControlArguments& words);
Result<VerifyCommandOptions> verify_options(const ControlArguments& words);

}  // namespace fmvm::cli
