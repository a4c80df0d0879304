// SPDX-License-Identifier: Apache-2.0
#include "cli/run_command.h"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <optional>

#include "base/log.h"
#include "cli/control_socket.h"
#include "cli/escape_parser.h"
#include "cli/exit_status.h"
#include "cli/host_facts.h"
#include "cli/machine_builder.h"
#include "cli/report_error.h"
#include "cli/snapshot.h"
#include "cli/snapshot_command.h"
#include "cli/terminal.h"
#include "devices/console_input.h"

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

// Typed bytes go to the serial port; on a terminal, but for the operator's commands among them.
Result<void> connect_input(BuiltMachine& built) {
    Machine& machine = *built.machine;
    Serial& serial = *built.serial;
    ConsoleInput::Receiver receiver;
    receiver.room = [&serial] { return serial.input_room(); };
    if (::isatty(STDIN_FILENO) == 1) {
        receiver.take = [&machine, &serial,
                         parser = EscapeParser()](std::span<const std::uint8_t> bytes) mutable {
            const EscapeParser::Result typed = parser.feed(bytes);
            if (!typed.guest_bytes.empty()) serial.receive(typed.guest_bytes);
            if (typed.help) std::fwrite(escape_help.data(), 1, escape_help.size(), stderr);
            if (typed.quit) machine.request_end(GuestEnd::stopped);
        };
    } else {
        receiver.take = [&serial](std::span<const std::uint8_t> bytes) { serial.receive(bytes); };
    }
    // The machine owns it, so that it goes after the loop, which still holds bytes on their way.
    ConsoleInput& input = machine.own(
        FMVM_TRY(ConsoleInput::create(machine.loop(), STDIN_FILENO, std::move(receiver))));
    serial.on_input_room([&input] { input.room_changed(); });
    return {};
}

int report_end(GuestEnd end, const std::string& report) {
    switch (end) {
        case GuestEnd::power_off:
            log::info("run", "the guest powered off");
            return to_int(ExitStatus::ok);
        case GuestEnd::reset:
            log::info("run", "the guest asked for a reset");
            return to_int(ExitStatus::guest_reset);
        case GuestEnd::crash:
            return report_error(
                "the guest crashed (triple fault); the host's kernel log may name the vector and "
                "RIP",
                ExitStatus::guest_crashed);
        case GuestEnd::unsupported:
            fmt::print(stderr, "fmvm: {}\n", report);
            return to_int(ExitStatus::guest_stuck);
        case GuestEnd::stopped:
            log::info("run", "the guest was stopped");
            return to_int(ExitStatus::operator_stop);
    }
    return to_int(ExitStatus::failure);
}

// A machine of the snapshot's size with the options' devices, put where the guest stopped.
Result<BuiltMachine> restore_machine(const Kvm& kvm, RunOptions options, ExitStatus& status) {
    status = ExitStatus::usage;
    const Snapshot snapshot = FMVM_TRY(open_snapshot(options.restore));
    if (const std::uint64_t host = FMVM_TRY(host_memory_bytes());
        snapshot.size.memory_bytes > host) {
        return make_error("snapshot {}: its {} MiB of memory are more than this host has ({} MiB)",
                          options.restore, snapshot.size.memory_bytes / mib, host / mib);
    }
    options.memory_bytes = snapshot.size.memory_bytes;
    options.cpus = snapshot.size.vcpus;
    BuiltMachine built = FMVM_TRY(build_machine(kvm, options, status));
    status = ExitStatus::usage;
    FMVM_TRY(restore_snapshot(snapshot, *built.machine));
    return built;
}

}  // namespace

int run_command(const RunOptions& options) {
    ::signal(SIGPIPE, SIG_IGN);  // a console reader that goes away does not end the guest
    ::signal(SIGXFSZ, SIG_IGN);  // a file size limit is an I/O error of the guest's disk
    prepare_kick_signal();
    Result<Kvm> kvm = Kvm::open();
    if (!kvm.ok()) return report_error(kvm.error().message(), ExitStatus::failure);
    boost::asio::io_context control(1);
    std::unique_ptr<ControlSocket> control_socket;
    if (!options.control.empty()) {
        Result<std::unique_ptr<ControlSocket>> opened =
            ControlSocket::open(control, options.control);
        if (!opened.ok()) return report_error(opened.error().message(), ExitStatus::usage);
        control_socket = std::move(opened).value();
    }
    ExitStatus status = ExitStatus::failure;
    Result<BuiltMachine> built = options.restore.empty() ? build_machine(*kvm, options, status)
                                                         : restore_machine(*kvm, options, status);
    if (!built.ok()) return report_error(built.error().message(), status);
    if (!built->quirks.empty()) {
        log::notice("run",
                    "this host emulates ring 0; added to the kernel command line "
                    "(--host-quirks off leaves it out): {}",
                    built->quirks);
    }

    // Before the terminal is changed: from here on these signals end in an orderly way.
    boost::asio::signal_set signals(control, SIGTERM, SIGINT, SIGHUP);
    std::optional<RawTerminal> terminal;
    if (options.console.kind == ConsoleKind::stdio) {
        const Result<void> connected = connect_input(*built);
        if (!connected.ok()) return report_error(connected.error().message(), ExitStatus::failure);
        terminal.emplace(STDIN_FILENO);
    }
    if (control_socket) serve_snapshots(*control_socket, *built->machine);
    const GuestEnd end = run_until_end(*built->machine, control, signals);
    // From here a second signal ends the process at once, should a disk never answer.
    terminal.reset();
    signals.clear();
    control_socket.reset();
    const std::string report = built->machine->report();
    built->machine.reset();  // writes what is left of the console
    return report_end(end, report);
}

}  // namespace fmvm::cli
