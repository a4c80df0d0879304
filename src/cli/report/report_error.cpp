// SPDX-License-Identifier: Apache-2.0
#include "cli/report/report_error.h"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

#include "base/text.h"

namespace fmvm::cli {

int report_error(std::string message, ExitStatus status) {
    fmt::print(stderr, "fmvm: {}\n", without_controls(std::move(message)));
    return to_int(status);
}

}  // namespace fmvm::cli
