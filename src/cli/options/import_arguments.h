// SPDX-License-Identifier: Apache-2.0
// The words of `fmvm import`, and how they become options.
#pragma once

#include "cli/commands/import_command.h"
#include "cli/options/run_arguments.h"

namespace fmvm::cli {

struct ImportArguments {
    std::vector<std::string> image, to, format;
};

CLI::App* add_import(CLI::App& app, ImportArguments& words);
Result<ImportOptions> import_options(const ImportArguments& words);

}  // namespace fmvm::cli
