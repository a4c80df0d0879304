// SPDX-License-Identifier: Apache-2.0
#include "node/run/process_signals.h"

#include <signal.h>

#include "vmm/cpu/vcpu_thread.h"

namespace fmvm::node {

void prepare_signals() {
    ::signal(SIGXFSZ, SIG_IGN);  // a file size limit is an I/O error of the guest's disk
    ::signal(SIGUSR1, SIG_IGN);  // asks for statistics; before there are any it kills nobody
    ::signal(SIGTTOU, SIG_IGN);  // a job in the background may show its console,
    ::signal(SIGTTIN, SIG_IGN);  // and is not stopped because it was reading when it became one
    prepare_kick_signal();
}

}  // namespace fmvm::node
