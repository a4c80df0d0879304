// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/backup_command.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <optional>
#include <variant>

#include "base/log.h"
#include "cli/report/report_error.h"
#include "cli/report/report_outcome.h"
#include "node/console/console_session.h"
#include "node/console/terminal.h"
#include "node/control/control_socket.h"
#include "node/run/arbiter_access.h"
#include "node/run/own_sentinel.h"
#include "node/run/pair_keys.h"
#include "node/run/process_signals.h"
#include "node/run/protected_run.h"
#include "node/run/unprotected_run.h"
#include "node/run/waiting_backup.h"

namespace fmvm::cli {

namespace {

// How the process is set up, whatever it does.
struct Process {
    const node::BackupCommandOptions& options;
    boost::asio::io_context& control;
    node::StopRequest& stop;
    node::ControlSocket* control_socket;  // null: there is none
    lockstep::Sentinel* sentinel;         // null: there is none
    std::shared_ptr<lockstep::TlsKeyring> keys;
};

int report_wait(const node::NotTakenOver& result) {
    using Reason = node::NotTakenOver::Reason;
    switch (result.reason) {
        case Reason::guest_ended:
            log::notice("backup", "{} on the primary", result.text);
            return to_int(ExitStatus::ok);
        case Reason::stopped:
            return to_int(ExitStatus::operator_stop);
        case Reason::failed:
            break;
    }
    return report_error(fmt::format("cannot take over: {}", result.text), ExitStatus::failure);
}

// The guest cannot be protected again. It goes on all the same: what runs here is the only copy.
node::Outcome run_unprotected(node::TakenOver& taken, const Process& process, const Error& why) {
    log::error("backup", "{}; the guest goes on without protection", why.message());
    Machine& machine = *taken.standby->built().machine;
    const GuestEnd end = node::run_until_end(machine, process.control, process.stop,
                                             *taken.standby->ending(), "backup");
    if (end != GuestEnd::unsupported)
        node::mark_ended(taken.arbiter, taken.standby->generation()->load(), "backup");
    return {end, lockstep::PrimaryEnd::guest_ended, {}};
}

// Lets the guest run here, as a primary does.
node::Outcome run_guest(node::TakenOver& taken, const Process& process) {
    node::StandbyMachine& standby = *taken.standby;
    const node::BackupCommandOptions& options = process.options;
    std::optional<node::ProtectedRun> run(
        std::in_place, standby.built(), taken.arbiter,
        node::ProtectedRun::Surroundings{process.control, process.stop, standby.ending(),
                                         watch_on_stderr(), process.sentinel, process.keys},
        "backup");
    const Result<void> prepared = run->prepare(
        {standby.vm(), standby.generation(), standby.pair(), options.block, !options.arbiter.none},
        options.next_backup, options.replication);
    if (!prepared.ok()) {
        run.reset();
        return run_unprotected(taken, process, prepared.error());
    }
    std::optional<node::RawTerminal> terminal;
    if (options.machine.console.kind == node::ConsoleKind::stdio) {
        const Result<void> connected = node::connect_input(standby.built(), show_console_help);
        if (!connected.ok()) log::warning("backup", "{}", connected.error().message());
        terminal.emplace(STDIN_FILENO);
    }
    if (process.control_socket != nullptr) run->serve(*process.control_socket);
    return run->run([&terminal] { terminal.reset(); });
}

}  // namespace

int backup_command(const node::BackupCommandOptions& options) {
    const auto sentinel = node::start_sentinel("backup");
    node::prepare_signals();
    node::keep_message_memory();
    const auto keys = node::open_keys(options.replication);
    if (!keys.ok()) return report_error(keys.error());
    Result<Kvm> kvm = Kvm::open();
    if (!kvm.ok()) return report_error(kvm.error());
    Result<node::StateDirectory> directory = node::StateDirectory::open(options.directory);
    if (!directory.ok()) return report_bad_usage(directory.error());
    boost::asio::io_context control(1);
    Result<std::unique_ptr<node::StopRequest>> stop = node::StopRequest::take(control);
    if (!stop.ok()) return report_error(stop.error());
    Result<std::unique_ptr<node::ControlSocket>> control_socket =
        node::open_control(control, options.machine.control);
    if (!control_socket.ok()) return report_error(control_socket.error());
    Result<std::unique_ptr<node::WaitingBackup>> waiting =
        node::WaitingBackup::create(*kvm, options, keys.value(), *directory, control, **stop);
    if (!waiting.ok()) return report_bad_usage(waiting.error());
    if (*control_socket) (*waiting)->serve(**control_socket);

    node::WaitResult result = (*waiting)->wait();
    if (const auto* const without = std::get_if<node::NotTakenOver>(&result))
        return report_wait(*without);
    auto& taken = std::get<node::TakenOver>(result);
    const node::Outcome outcome = run_guest(
        taken, {options, control, **stop, control_socket->get(), sentinel.get(), keys.value()});
    waiting->reset();
    const std::string report = taken.standby->built().machine->report();
    taken.standby.reset();  // writes what is left of the console
    return report_outcome(outcome, report);
}

}  // namespace fmvm::cli
