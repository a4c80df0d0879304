// SPDX-License-Identifier: Apache-2.0
// From options to a machine that is ready to start: the only place that names concrete devices.
#pragma once

#include <memory>

#include "base/result.h"
#include "cli/run_options.h"
#include "devices/console_output.h"
#include "devices/serial.h"
#include "vmm/host_probe.h"
#include "vmm/machine.h"

namespace fmvm::cli {

// The parts of a built machine that the command around it talks to. The machine owns them.
struct BuiltMachine {
    std::unique_ptr<Machine> machine;
    Serial* serial = nullptr;
};

// The machine with its devices, kernel loaded, boot vCPU at the entry point.
Result<BuiltMachine> build_machine(const Kvm& kvm, const RunOptions& options);

}  // namespace fmvm::cli
