// SPDX-License-Identifier: Apache-2.0
// An epoch log for people (a line per epoch and record) or programs (a JSON object per line).
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace fmvm::cli {

enum class LogFormat { text, json };

// Writes the log to standard output, up to and with epoch `until`. If the log is damaged or ends
// before, the epochs that are whole are written and an error is returned, whose kind is input.
Result<void> dump_log(const std::string& path, std::uint64_t until, LogFormat format);

}  // namespace fmvm::cli
