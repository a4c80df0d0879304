// SPDX-License-Identifier: Apache-2.0
// `fmvm verify`: asks a running primary, by its control socket, to compare its guest's memory and
// disks with the backup's.
#pragma once

#include <string>

#include "lockstep/primary/verification.h"

namespace fmvm::cli {

struct VerifyCommandOptions {
    std::string control;  // path of the socket
    lockstep::VerifyOptions compare;
};

// Shows how far it is on a terminal. Returns an ExitStatus as the process's exit status.
int verify_command(const VerifyCommandOptions& options);

}  // namespace fmvm::cli
