// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/vcpu_thread.h"

namespace {

// Before the first test: vCPU threads are kicked by it.
const bool prepared = (fmvm::prepare_kick_signal(), true);

}  // namespace
