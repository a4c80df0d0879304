// SPDX-License-Identifier: Apache-2.0
// The command "snapshot" of a running fmvm's control socket, with "to" and "stop".
#pragma once

#include "node/build/snapshot.h"
#include "node/control/control_socket.h"
#include "vmm/machine/machine.h"

namespace fmvm::node {

// Snapshots are taken on the control socket's thread, which must be the machine's controlling
// thread. Machine and disks outlive the socket.
void serve_snapshots(ControlSocket& socket, Machine& machine, const GuestDisks& disks);

}  // namespace fmvm::node
