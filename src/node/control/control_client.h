// SPDX-License-Identifier: Apache-2.0
// The other end of a control socket: asks a running fmvm for something and waits for the answer.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/json_writer.h"
#include "base/result.h"

namespace fmvm::node {

// Sends `request` and returns the last line of the answer; an answer {"error": TEXT} is returned as
// that error. on_line is told every line as it comes, the last one too. limit: for each line; none:
// what was asked for may take a while.
Result<JsonValue> control_request(const std::string& path, const JsonObject& request,
                                  const std::function<void(const JsonValue&)>& on_line = {},
                                  std::optional<std::chrono::milliseconds> limit = {});

}  // namespace fmvm::node
