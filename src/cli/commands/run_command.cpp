// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/run_command.h"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <optional>

#include "base/log.h"
#include "cli/commands/snapshot_command.h"
#include "cli/guest_session.h"
#include "cli/machine_builder.h"
#include "cli/recording.h"
#include "cli/report/exit_status.h"
#include "cli/report/report_error.h"
#include "node/build/disk_labels.h"
#include "node/console/terminal.h"
#include "node/control/control_socket.h"

namespace fmvm::cli {

namespace {

// Runs the guest to its end or the operator's wish, whichever comes first.
GuestEnd run_until_end(Machine& machine, boost::asio::io_context& control,
                       boost::asio::signal_set& signals) {
    GuestEnd end = GuestEnd::stopped;
    machine.on_end([&](GuestEnd reason) {
        boost::asio::post(control, [&, reason] {
            end = reason;
            control.stop();
        });
    });
    signals.async_wait([&](const boost::system::error_code& error, int number) {
        if (error) return;
        log::info("run", "stopping the guest signal={}", number);
        machine.request_end(GuestEnd::stopped);
    });
    machine.start();
    const auto work = boost::asio::make_work_guard(control);
    control.run();
    machine.halt_vcpus();
    return end;
}

}  // namespace

int run_command(const node::MachineOptions& options) {
    prepare_process();
    Result<Kvm> kvm = Kvm::open();
    if (!kvm.ok()) return report_error(kvm.error().message(), ExitStatus::failure);
    boost::asio::io_context control(1);
    Result<std::unique_ptr<node::ControlSocket>> control_socket =
        node::open_control(control, options.control);
    if (!control_socket.ok())
        return report_error(control_socket.error().message(), ExitStatus::usage);
    ExitStatus status = ExitStatus::failure;
    Result<BuiltMachine> built = build_guest(*kvm, options, Purpose{}, status);
    if (!built.ok()) return report_error(built.error().message(), status);
    const bool on_terminal = options.console.kind == node::ConsoleKind::stdio;
    if (on_terminal) {
        const Result<void> connected = connect_input(*built);
        if (!connected.ok()) return report_error(connected.error().message(), ExitStatus::failure);
    }
    // The last that can fail, so that a start that was refused has changed nothing. A log without a
    // guest would be in the way of the next one.
    if (const Result<void> recording = begin_recording(*built, options, {}, 0); !recording.ok())
        return report_error(recording.error().message(), ExitStatus::usage);
    if (const Result<void> left = node::leave_protection(options.disks, built->disks); !left.ok()) {
        if (!options.record.empty()) ::unlink(options.record.c_str());
        return report_error(left.error().message(), ExitStatus::usage);
    }
    tell_quirks(*built);

    // Before the terminal is changed: from here on these signals end in an orderly way.
    boost::asio::signal_set signals(control);
    add_stop_signals(signals);
    std::optional<node::RawTerminal> terminal;
    if (on_terminal) terminal.emplace(STDIN_FILENO);
    begin_console(options);
    if (*control_socket) serve_snapshots(**control_socket, *built->machine);
    const GuestEnd end = run_until_end(*built->machine, control, signals);
    // From here a second signal ends the process at once, should a disk never answer.
    terminal.reset();
    signals.clear();
    control_socket->reset();
    end_recording(*built, Uncommitted::counts);
    const std::string report = built->machine->report();
    // What a guest has said before its own end waits for its reader, as that of any program does.
    if (end != GuestEnd::stopped) built->console->wait_at_end(std::chrono::hours(24));
    built->machine.reset();  // writes what is left of the console
    return report_end(end, report);
}

}  // namespace fmvm::cli
