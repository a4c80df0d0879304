// SPDX-License-Identifier: Apache-2.0
// The command line of the program: picks the subcommand and its options, tells errors, and returns
// the exit status.
#pragma once

namespace fmvm::cli {

int run(int argc, char** argv);

}  // namespace fmvm::cli
