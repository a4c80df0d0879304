// SPDX-License-Identifier: Apache-2.0
// The other end of a control socket: asks a running fmvm for something and waits for the answer.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/json.h"

namespace fmvm::cli {

// Sends `request`, one JSON object in one line, and returns the last line of the answer. An answer
// {"error": ...} is the error. There is no time limit: what was asked for may take a while.
Result<JsonValue> control_request(const std::string& path, const std::string& request);

}  // namespace fmvm::cli
