// SPDX-License-Identifier: Apache-2.0
// The words of `fmvm primary` and `fmvm backup`, and how they become options.
#pragma once

#include "cli/options/run_arguments.h"
#include "node/config/protection_options.h"

namespace fmvm::cli {

struct ProtectionArguments {
    RunArguments machine;
    std::vector<std::string> backup, listen, block, directory, arbiter, heartbeat, lost_after, sync,
        epoch, output_delay, dirty_budget, on_backup_lost, staging, compress, dirty_log, hot_pages,
        verify, trace, acknowledgement;
    bool insecure_plaintext = false;
    bool restart = false;
};

CLI::App* add_primary(CLI::App& app, ProtectionArguments& words);
CLI::App* add_backup(CLI::App& app, ProtectionArguments& words);

Result<node::PrimaryCommandOptions> primary_options(const ProtectionArguments& words);
Result<node::BackupCommandOptions> backup_options(const ProtectionArguments& words);

}  // namespace fmvm::cli
