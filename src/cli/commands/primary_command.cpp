// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/primary_command.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <optional>

#include "cli/report/report_error.h"
#include "cli/report/report_outcome.h"
#include "node/console/console_session.h"
#include "node/console/terminal.h"
#include "node/control/control_socket.h"
#include "node/run/arbiter_access.h"
#include "node/run/output_guard.h"
#include "node/run/own_sentinel.h"
#include "node/run/pair_keys.h"
#include "node/run/primary_start.h"
#include "node/run/process_signals.h"
#include "node/run/protected_run.h"
#include "node/run/recording.h"

namespace fmvm::cli {

namespace {

bool is_on_terminal(const node::PrimaryCommandOptions& options) {
    return options.machine.console.kind == node::ConsoleKind::stdio;
}

Result<void> prepare(node::ProtectedRun& run, node::PrimaryStart& start,
                     const node::PrimaryCommandOptions& options) {
    FMVM_TRY(
        run.prepare({start.vm, start.generation, start.pair, options.block, !options.arbiter.none},
                    options.backup, options.replication));
    node::guard_output(
        start.built, {.arbiter = start.arbiter,
                      .generation = [generation = start.generation] { return generation->load(); },
                      .pair = start.pair,
                      .speak_from = start.speak_from,
                      .lost_after = options.replication.lost_after});
    if (is_on_terminal(options)) FMVM_TRY(node::connect_input(start.built, show_console_help));
    // The last that can fail: a log without a guest would only be in the way of the next start.
    return node::begin_recording(start.built, options.machine, start.vm, *start.generation);
}

node::Outcome run_guest(node::ProtectedRun& run, node::BuiltMachine& built,
                        const node::PrimaryCommandOptions& options,
                        node::ControlSocket* control_socket) {
    std::optional<node::RawTerminal> terminal;
    if (is_on_terminal(options)) terminal.emplace(STDIN_FILENO);
    node::begin_console(built, options.machine);
    tell_quirks(built);
    if (control_socket != nullptr) run.serve(*control_socket);
    built.machine->start();
    return run.run([&terminal] { terminal.reset(); });
}

}  // namespace

int primary_command(const node::PrimaryCommandOptions& options) {
    const auto sentinel = node::start_sentinel("primary");
    node::prepare_signals();
    node::keep_message_memory();
    const auto keys = node::open_keys(options.replication);
    if (!keys.ok()) return report_error(keys.error());
    Result<Kvm> kvm = Kvm::open();
    if (!kvm.ok()) return report_error(kvm.error());
    boost::asio::io_context control(1);
    Result<std::unique_ptr<node::ControlSocket>> control_socket =
        node::open_control(control, options.machine.control);
    if (!control_socket.ok()) return report_error(control_socket.error());
    // Before a generation is claimed, which no signal may leave behind.
    Result<std::unique_ptr<node::StopRequest>> stop = node::StopRequest::take(control);
    if (!stop.ok()) return report_error(stop.error());
    Result<node::PrimaryStart> start = node::start_primary(*kvm, options, keys.value());
    if (!start.ok()) return report_error(start.error());

    node::BuiltMachine& built = start->built;
    const auto ending = std::make_shared<node::Occurrence<GuestEnd>>();
    built.machine->on_end(node::tell_on(control, ending));
    node::Outcome outcome;
    std::string report;
    {
        node::ProtectedRun run(
            built, start->arbiter,
            {control, **stop, ending, watch_on_stderr(), sentinel.get(), keys.value()}, "primary");
        const Result<void> prepared = prepare(run, *start, options);
        if (!prepared.ok()) {
            // The generation was won for nothing; the next start need not ask whether it has ended.
            node::mark_ended(start->arbiter, *start->generation, "primary");
            return report_error(prepared.error());
        }
        outcome = run_guest(run, built, options, control_socket->get());
        report = built.machine->report();
        built.machine.reset();  // writes what is left of the console
    }
    return report_outcome(outcome, report);
}

}  // namespace fmvm::cli
