// SPDX-License-Identifier: Apache-2.0
// What a command was asked for, on standard output. It waits for its reader, like that of any
// program.
#pragma once

#include <string_view>

#include "base/result.h"

namespace fmvm::cli {

// The text is out when this returns; otherwise the error says why not.
Result<void> print_part(std::string_view text);

// The last thing of a command that has done what it was asked: prints its result and returns the
// exit status. Nobody takes a result for given that could not be written.
int print_result(std::string_view text);

}  // namespace fmvm::cli
