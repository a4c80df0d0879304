// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/run_command.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <optional>

#include "cli/report/report_error.h"
#include "cli/report/report_outcome.h"
#include "node/build/disk_labels.h"
#include "node/build/machine_builder.h"
#include "node/console/console_session.h"
#include "node/console/terminal.h"
#include "node/control/control_socket.h"
#include "node/control/snapshot_requests.h"
#include "node/run/process_signals.h"
#include "node/run/recording.h"
#include "node/run/unprotected_run.h"

namespace fmvm::cli {

namespace {

// The last steps that can fail, so that a start that was refused has changed nothing. A log without
// a guest would be in the way of the next start.
Result<void> begin(node::BuiltMachine& built, const node::MachineOptions& options) {
    FMVM_TRY(blame_input(node::begin_recording(built, options, {}, 0)));
    const Result<void> left = blame_input(node::leave_protection(options.disks, built.disks));
    if (!left.ok() && !options.record.empty()) ::unlink(options.record.c_str());
    return left;
}

}  // namespace

int run_command(const node::MachineOptions& options) {
    node::prepare_signals();
    Result<Kvm> kvm = Kvm::open();
    if (!kvm.ok()) return report_error(kvm.error());
    boost::asio::io_context control(1);
    Result<std::unique_ptr<node::ControlSocket>> control_socket =
        node::open_control(control, options.control);
    if (!control_socket.ok()) return report_error(control_socket.error());
    Result<node::BuiltMachine> built = node::build_guest(*kvm, options, node::Purpose{});
    if (!built.ok()) return report_error(built.error());
    Machine& machine = *built->machine;
    const bool on_terminal = options.console.kind == node::ConsoleKind::stdio;
    if (on_terminal) {
        const Result<void> connected = node::connect_input(*built, show_console_help);
        if (!connected.ok()) return report_error(connected.error());
    }
    // From here on stop signals end all this in an orderly way.
    Result<std::unique_ptr<node::StopRequest>> stop = node::StopRequest::take(control);
    if (!stop.ok()) return report_error(stop.error());
    const Result<void> begun = begin(*built, options);
    if (!begun.ok()) return report_error(begun.error());
    tell_quirks(*built);

    std::optional<node::RawTerminal> terminal;
    if (on_terminal) terminal.emplace(STDIN_FILENO);
    node::begin_console(*built, options);
    if (*control_socket) {
        node::serve_snapshots(**control_socket, machine,
                              {options.disks, built->disks, built->block_devices});
    }
    const auto ending = std::make_shared<node::Occurrence<GuestEnd>>();
    machine.on_end(node::tell_on(control, ending));
    machine.start();
    const GuestEnd end = node::run_until_end(machine, control, **stop, *ending, "run");
    terminal.reset();
    control_socket->reset();
    node::end_recording(*built, node::Uncommitted::counts);
    const std::string report = machine.report();
    // What a guest has said before its own end waits for its reader, as that of any program does.
    if (end != GuestEnd::stopped && !(*stop)->came()) {
        built->console->wait_at_end(std::chrono::hours(24), [&stop] { return (*stop)->came(); });
    }
    built->machine.reset();  // writes what is left of the console
    return report_end(end, report);
}

}  // namespace fmvm::cli
