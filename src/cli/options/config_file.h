// SPDX-License-Identifier: Apache-2.0
// `--config FILE`: one JSON object with the same keys as the options of `fmvm run`.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/options/given_options.h"

namespace fmvm::cli {

Result<GivenOptions> read_config_file(const std::string& path);

// Errors read "<name>, line L, column C: '<key>': ...".
Result<GivenOptions> parse_config(std::string_view text, std::string_view name);

}  // namespace fmvm::cli
