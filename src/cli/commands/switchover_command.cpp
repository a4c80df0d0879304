// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/switchover_command.h"

#include "cli/report/report_answer.h"
#include "node/control/control_client.h"

namespace fmvm::cli {

int switchover_command(const SwitchoverOptions& options) {
    return report_answer(node::control_request(
        options.control, JsonObject().add("command", "switchover"), {}, options.limit));
}

}  // namespace fmvm::cli
