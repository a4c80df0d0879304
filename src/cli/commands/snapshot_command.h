// SPDX-License-Identifier: Apache-2.0
// `fmvm snapshot`: asks a running fmvm, by its control socket, to write a snapshot of its guest.
#pragma once

#include <string>

#include "node/control/control_socket.h"
#include "vmm/machine/machine.h"

namespace fmvm::cli {

struct SnapshotOptions {
    std::string control;  // path of the socket
    std::string to;       // the directory to be made
    bool stop = false;    // the guest ends, so that another process can go on with it
};

// Returns an ExitStatus as the process's exit status.
int snapshot_command(const SnapshotOptions& options);

// The running side: the command "snapshot" with "to" and "stop". It is carried out on the control
// socket's thread, which must be the machine's controlling thread.
void serve_snapshots(node::ControlSocket& socket, Machine& machine);

}  // namespace fmvm::cli
