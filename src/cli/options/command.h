// SPDX-License-Identifier: Apache-2.0
// A command of fmvm: how its command line looks, and what carries it out.
#pragma once

#include <string>
#include <vector>

#include "cli/options/option.h"
#include "cli/report/report_error.h"

namespace fmvm::cli {

struct Command {
    const char* name = "";
    const char* help = "";
    const char* footer = "";
    std::vector<OptionText> options;  // in the order of --help
    // Returns the exit status.
    int (*run)(const Arguments& arguments) = nullptr;
};

// All of them, in the order of --help.
std::vector<Command> all_commands();

// Carries a command out, or says what is wrong with its options.
template <typename Options>
int obey(const Result<Options>& options, int (*command)(const Options&)) {
    return options.ok() ? command(options.value()) : report_bad_usage(options.error());
}

}  // namespace fmvm::cli
