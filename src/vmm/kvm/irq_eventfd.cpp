// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/irq_eventfd.h"

#include "base/event_fd.h"

namespace fmvm {

void IrqEventFd::raise() {
    signal_eventfd(event_.get());
}

}  // namespace fmvm
