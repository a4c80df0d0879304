// SPDX-License-Identifier: Apache-2.0
#include "cli/report/report_error.h"

#include <fmt/format.h>

#include "base/standard_error.h"
#include "base/text.h"

namespace fmvm::cli {

int report_error(std::string_view message, ExitStatus status) {
    standard_error().write_above_limit(fmt::format("fmvm: {}\n", without_controls(message)));
    return to_int(status);
}

int report_error(const Error& error) {
    return report_error(error.message(), error.kind() == Error::Kind::input ? ExitStatus::usage
                                                                            : ExitStatus::failure);
}

int report_bad_usage(const Error& error) {
    return report_error(error.message(), ExitStatus::usage);
}

}  // namespace fmvm::cli
