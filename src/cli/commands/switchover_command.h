// SPDX-License-Identifier: Apache-2.0
// `fmvm switchover`: asks a running primary or backup, by its control socket, to move the guest to
// the backup.
#pragma once

#include <chrono>
#include <string>

namespace fmvm::cli {

struct SwitchoverOptions {
    std::string control;  // path of the socket
    std::chrono::milliseconds limit{30'000};
};

// Returns an ExitStatus as the process's exit status.
int switchover_command(const SwitchoverOptions& options);

}  // namespace fmvm::cli
