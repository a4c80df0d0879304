// SPDX-License-Identifier: Apache-2.0
// The words of `fmvm primary` and `fmvm backup`, and how they become options.
#pragma once

#include "cli/options/run_arguments.h"
#include "node/config/protection_options.h"

namespace fmvm::cli {

struct ProtectionWords {
    RunWords machine;
    std::vector<std::string> backup, listen, block, directory, arbiter, heartbeat, lost_after, sync,
        epoch, output_delay, dirty_budget, on_backup_lost, staging, compress, dirty_log, hot_pages,
        verify, trace, acknowledgement;
    bool insecure_plaintext = false;
    bool restart = false;
};

CLI::App* add_primary(CLI::App& app, ProtectionWords& words);
CLI::App* add_backup(CLI::App& app, ProtectionWords& words);

Result<PrimaryCommandOptions> primary_options(const ProtectionWords& words);
Result<BackupCommandOptions> backup_options(const ProtectionWords& words);

}  // namespace fmvm::cli
