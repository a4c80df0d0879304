// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/switchover_command.h"

#include "cli/report/exit_status.h"
#include "cli/report/print_result.h"
#include "cli/report/report_error.h"
#include "node/control/control_client.h"

namespace fmvm::cli {

int switchover_command(const SwitchoverOptions& options) {
    const Result<JsonValue> answer = node::control_request(
        options.control, JsonObject().add("command", "switchover"), {}, options.limit);
    if (!answer.ok()) return report_error(answer.error());
    const JsonValue* const why = find_member(answer.value(), "result");
    return why == nullptr ? to_int(ExitStatus::ok) : print_result(why->text + "\n");
}

}  // namespace fmvm::cli
