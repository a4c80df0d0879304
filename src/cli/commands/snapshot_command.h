// SPDX-License-Identifier: Apache-2.0
// `fmvm snapshot`: asks a running fmvm, by its control socket, to write a snapshot of its guest.
#pragma once

#include <string>

namespace fmvm::cli {

struct SnapshotOptions {
    std::string control;  // path of the socket
    std::string to;       // the directory to be made
    bool stop = false;    // the guest ends, so that another process can go on with it
};

// Returns an ExitStatus as the process's exit status.
int snapshot_command(const SnapshotOptions& options);

}  // namespace fmvm::cli
