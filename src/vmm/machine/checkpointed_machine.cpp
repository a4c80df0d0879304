// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/checkpointed_machine.h"

namespace fmvm {

QuiesceGuard::QuiesceGuard(CheckpointedMachine& machine) : machine_(machine) {
    machine_.stand_still();
}

QuiesceGuard::~QuiesceGuard() {
    machine_.run_on();
}

}  // namespace fmvm
