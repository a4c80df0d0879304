// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/check_command.h"
#include "cli/options/command.h"
#include "cli/options/control_arguments.h"
#include "cli/options/import_arguments.h"
#include "cli/options/key_arguments.h"
#include "cli/options/protection_arguments.h"
#include "cli/options/replay_arguments.h"
#include "cli/options/run_arguments.h"

namespace fmvm::cli {

namespace {

Command check_line() {
    return {"check",
            "Report what this host can do for fmvm",
            "Exit status: 0 when fmvm can run machines here, 1 when it cannot.",
            {{"--json", "", "Report as JSON"}},
            [](const Arguments& arguments) { return check_command(arguments.has("--json")); }};
}

}  // namespace

std::vector<Command> all_commands() {
    return {run_line(),      primary_line(), backup_line(), switchover_line(), verify_line(),
            snapshot_line(), replay_line(),  import_line(), key_line(),        check_line()};
}

}  // namespace fmvm::cli
