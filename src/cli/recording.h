// SPDX-License-Identifier: Apache-2.0
// `--record FILE`: a guest's disk requests go to an epoch log for as long as it runs here.
#pragma once

#include "cli/machine_builder.h"

namespace fmvm::cli {

// Before the guest runs; without effect unless the machine was built to be recorded. What its
// images hold here and there is read, so that `fmvm replay` knows them again. Of a guest without
// protection vm and generation are none.
Result<void> begin_recording(const BuiltMachine& built, const node::MachineOptions& options,
                             const lockstep::VmId& vm, lockstep::Generation generation);

// Whether what was not committed counts as well when recording ends.
enum class Uncommitted { counts, is_dropped };
// The guest does not run here any more; requests in flight are waited for briefly.
void end_recording(const BuiltMachine& built, Uncommitted uncommitted);

}  // namespace fmvm::cli
