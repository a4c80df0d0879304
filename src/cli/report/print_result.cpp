// SPDX-License-Identifier: Apache-2.0
#include "cli/report/print_result.h"

#include <unistd.h>

#include "base/file_io.h"
#include "cli/report/report_error.h"

namespace fmvm::cli {

Result<void> print_part(std::string_view text) {
    const int failure = write_all(STDOUT_FILENO, std::as_bytes(std::span(text)));
    if (failure != 0) return errno_error(failure, "standard output: cannot be written");
    return {};
}

int print_result(std::string_view text) {
    const Result<void> printed = print_part(text);
    return printed.ok() ? to_int(ExitStatus::ok) : report_error(printed.error());
}

}  // namespace fmvm::cli
