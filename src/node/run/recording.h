// SPDX-License-Identifier: Apache-2.0
// `--record FILE`: a guest's disk requests go to an epoch log for as long as it runs here.
#pragma once

#include "node/build/machine_builder.h"

namespace fmvm::node {

// Begins the log, before the guest runs; without effect unless the machine was built to be
// recorded. Samples of what the disks' images hold are logged, so that `fmvm replay` knows the
// images again. vm and generation are zero for a guest without protection.
Result<void> begin_recording(const BuiltMachine& built, const MachineOptions& options,
                             const lockstep::VmId& vm, lockstep::Generation generation);

// Whether requests that no epoch has committed count as well when recording ends.
enum class Uncommitted { counts, is_dropped };
// Ends the log of a guest that does not run here any more. Requests in flight are waited for
// briefly.
void end_recording(const BuiltMachine& built, Uncommitted uncommitted);

}  // namespace fmvm::node
