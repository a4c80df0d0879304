// SPDX-License-Identifier: Apache-2.0
#include "cli/report_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace fmvm::cli {

int report_error(std::string message, ExitStatus status) {
    std::ranges::replace_if(
        message, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
    fmt::print(stderr, "fmvm: {}\n", message);
    return to_int(status);
}

}  // namespace fmvm::cli
