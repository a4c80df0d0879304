// SPDX-License-Identifier: Apache-2.0
// What the commands that run a guest tell people about it, on stderr.
#pragma once

#include <string>

#include "node/build/machine_builder.h"
#include "node/run/protected_run.h"

namespace fmvm::cli {

// Says once what was added to the kernel's command line for this host, if anything was.
void tell_quirks(const node::BuiltMachine& built);

// What Ctrl-A h at the console shows.
void show_console_help();

// Shows what happens in a process that runs a protected guest.
node::Watcher watch_on_stderr();

// These say how the guest, or its protection, ended, and return the exit status for it. report:
// Machine::report().
int report_end(GuestEnd end, const std::string& report);
int report_outcome(const node::Outcome& outcome, const std::string& report);

}  // namespace fmvm::cli
