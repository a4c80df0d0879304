// SPDX-License-Identifier: Apache-2.0
// `fmvm import`: a cloud image of another format becomes a raw disk, with its kernel and initial
// RAM disk beside it, and the configuration that runs it.
#pragma once

#include <string>

#include "node/import/image_format.h"

namespace fmvm::cli {

struct ImportOptions {
    std::string image;
    node::ImageFormat format = node::ImageFormat::raw;
    std::string to;  // the directory to be made
};

// Returns the exit status.
int import_command(const ImportOptions& options);

}  // namespace fmvm::cli
