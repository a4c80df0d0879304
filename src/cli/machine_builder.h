// SPDX-License-Identifier: Apache-2.0
// From options to a machine that is ready to start: the only place that names concrete devices.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "cli/exit_status.h"
#include "cli/run_options.h"
#include "devices/serial.h"
#include "vmm/machine.h"

namespace fmvm::cli {

// The parts of a built machine that the command around it talks to. The machine owns them.
struct BuiltMachine {
    std::unique_ptr<Machine> machine;
    Serial* serial = nullptr;
    std::string quirks;  // what was added to the kernel command line for this host
};

// The machine with its devices, kernel loaded, boot vCPU at the entry point; or, when no kernel is
// given, empty, for a state to be restored. On failure `status` says what the process is to exit
// with: the input or this host is to blame.
Result<BuiltMachine> build_machine(const Kvm& kvm, const RunOptions& options, ExitStatus& status);

}  // namespace fmvm::cli
