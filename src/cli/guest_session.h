// SPDX-License-Identifier: Apache-2.0
// What every command that runs a guest does around it: console input, and telling how it ended.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/machine_builder.h"

namespace fmvm::cli {

// Signals that fmvm handles in its own way. Once, before any thread exists.
void prepare_process();

// Once: what was added to the kernel's command line for this host.
void tell_quirks(const BuiltMachine& built);

// Typed bytes go to the serial port; on a terminal, but for the operator's commands among them.
Result<void> connect_input(BuiltMachine& built);

// Says on stderr how the guest ended; the exit status for it.
int report_end(GuestEnd end, const std::string& report);
// The same in a few words, for the log and the peer.
std::string describe_end(GuestEnd end);

}  // namespace fmvm::cli
