// SPDX-License-Identifier: Apache-2.0
// The words of `fmvm replay`, and how they become options.
#pragma once

#include "cli/commands/replay_command.h"
#include "cli/options/run_arguments.h"

namespace fmvm::cli {

struct ReplayArguments {
    std::vector<std::string> log, disk, until;
    bool dump = false;
    bool json = false;
};

CLI::App* add_replay(CLI::App& app, ReplayArguments& words);
Result<ReplayOptions> replay_options(const ReplayArguments& words);

}  // namespace fmvm::cli
