// SPDX-License-Identifier: Apache-2.0
// What every command that runs a guest does around it: console input, and telling how it ended.
#pragma once

#include <boost/asio/signal_set.hpp>
#include <string>

#include "base/result.h"
#include "cli/machine_builder.h"

namespace fmvm::cli {

// Signals that fmvm handles in its own way. Once, before any thread exists.
void prepare_process();

// Those by which an operator ends the guest in an orderly way. SIGINT and SIGHUP that were ignored
// when we were started (nohup, a script's &) stay ignored.
void add_stop_signals(boost::asio::signal_set& signals);

// Once: what was added to the kernel's command line for this host.
void tell_quirks(const BuiltMachine& built);

// Typed bytes go to the serial port; on a terminal, but for the operator's commands among them.
// Those are heard even when the guest reads nothing any more; what else is typed then is lost. In
// the background of a terminal nothing is read.
Result<void> connect_input(BuiltMachine& built);

// Says on stderr how the guest ended; the exit status for it.
int report_end(GuestEnd end, const std::string& report);
// The same in a few words, for the log and the peer.
std::string describe_end(GuestEnd end);

}  // namespace fmvm::cli
