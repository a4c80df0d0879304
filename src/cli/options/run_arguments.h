// SPDX-License-Identifier: Apache-2.0
// The command line of `fmvm run`, and those of its options that other commands share.
#pragma once

#include <vector>

#include "base/result.h"
#include "cli/options/command.h"
#include "node/config/machine_options.h"

namespace fmvm::cli {

Command run_line();

// What --help lists for a machine: all options, or those of its devices only.
void list_machine_options(std::vector<OptionText>& texts);
void list_device_options(std::vector<OptionText>& texts);
// --record and --force-stale, for the commands that begin to run a guest on its disks.
void list_disk_start_options(std::vector<OptionText>& texts);

// The machine that the arguments, and the configuration file that they name, describe.
Result<node::MachineOptions> machine_options(const Arguments& arguments);
// A machine whose shape somebody else decides: disks, console, verbosity.
Result<node::MachineOptions> device_options(const Arguments& arguments);

// Makes the log as talkative as the options say.
void set_verbosity(const node::MachineOptions& options);

}  // namespace fmvm::cli
