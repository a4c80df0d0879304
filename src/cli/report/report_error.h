// SPDX-License-Identifier: Apache-2.0
// The one line on stderr that ends a command.
#pragma once

#include <string>

#include "cli/report/exit_status.h"

namespace fmvm::cli {

// Prints "fmvm: <message>" as one line, whatever file names are in it, and returns the exit status.
int report_error(std::string message, ExitStatus status);

}  // namespace fmvm::cli
