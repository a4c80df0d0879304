// SPDX-License-Identifier: Apache-2.0
// The one line on stderr that ends a command.
#pragma once

#include <string_view>

#include "base/result.h"
#include "cli/report/exit_status.h"

namespace fmvm::cli {

// Prints "fmvm: <message>" as one line, whatever file names are in it, and returns the exit status.
int report_error(std::string_view message, ExitStatus status);

// The same, with the status that tells whose fault the error is.
int report_error(const Error& error);

// An error that is the fault of what was given, whatever it says itself.
int report_bad_usage(const Error& error);

}  // namespace fmvm::cli
