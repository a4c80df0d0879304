// SPDX-License-Identifier: Apache-2.0
#include "cli/report/report_answer.h"

#include "cli/report/exit_status.h"
#include "cli/report/print_result.h"
#include "cli/report/report_error.h"

namespace fmvm::cli {

int report_answer(const Result<JsonValue>& answer) {
    if (!answer.ok()) return report_error(answer.error());
    const JsonValue* const result = find_member(answer.value(), "result");
    return result == nullptr ? to_int(ExitStatus::ok) : print_result(result->text + "\n");
}

}  // namespace fmvm::cli
