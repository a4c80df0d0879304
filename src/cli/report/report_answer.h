// SPDX-License-Identifier: Apache-2.0
// How a command that asks a running fmvm for something ends.
#pragma once

#include "base/json.h"
#include "base/result.h"

namespace fmvm::cli {

// Prints the sentence "result" of the answer, or the error, and returns the exit status.
int report_answer(const Result<JsonValue>& answer);

}  // namespace fmvm::cli
