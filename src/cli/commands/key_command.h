// SPDX-License-Identifier: Apache-2.0
// `fmvm key create`: makes the secret that the two sides of a pair share.
#pragma once

#include <string>

namespace fmvm::cli {

struct KeyOptions {
    std::string file;  // to be made
};

// Returns the exit status.
int key_command(const KeyOptions& options);

}  // namespace fmvm::cli
