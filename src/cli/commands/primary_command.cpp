// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/primary_command.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <optional>

#include "base/log.h"
#include "base/random.h"
#include "cli/guest_session.h"
#include "cli/protected_guest.h"
#include "cli/protected_run.h"
#include "cli/recording.h"
#include "cli/report/report_error.h"
#include "node/build/disk_labels.h"
#include "node/console/terminal.h"
#include "node/control/control_socket.h"

namespace fmvm::cli {

namespace {

using lockstep::Arbiter;
using lockstep::Claim;
using lockstep::Generation;
using lockstep::VmId;

// Who has claimed before is the same guest, started again; a new one draws its identity.
Result<VmId> choose_vm_id(const node::ArbiterOptions& arbiter) {
    if (!arbiter.none) {
        const std::optional<VmId> known = FMVM_TRY(lockstep::file_arbiter_owner(arbiter.path));
        if (known) return *known;
    }
    return random_value<VmId>();
}

// No image whose guest went on elsewhere may run it again.
Result<void> check_labels(const BuiltMachine& built, const VmId& vm, Generation newest) {
    for (const OwnDisk& disk : built.own_disks) {
        FMVM_TRY(replay::may_protect({replay::LabelState::whole, disk.map->label()}, disk.path, vm,
                                     newest));
    }
    return {};
}

Result<void> accept_images(const BuiltMachine& built) {
    for (const OwnDisk& disk : built.own_disks)
        FMVM_TRY(disk.map->break_lineage(replay::DiskRole::clean));
    return {};
}

// The generation under which the guest starts here. Refused while another side may run it.
Result<Generation> begin_generation(Arbiter& arbiter, const BuiltMachine& built, const VmId& vm,
                                    const node::PrimaryCommandOptions& options) {
    const Generation newest = FMVM_TRY(arbiter.newest());
    if (!options.machine.force_stale) FMVM_TRY(check_labels(built, vm, newest));
    if (newest != 0 && !options.restart && !FMVM_TRY(arbiter.has_ended(newest))) {
        return make_error(
            "generation {} of this guest has not ended: it may be running on its backup; join that "
            "side as its backup, or give --restart to begin anew",
            newest);
    }
    if (FMVM_TRY(arbiter.claim(newest + 1)) == Claim::lost)
        return make_error("generation {} was won by another side just now; start again",
                          newest + 1);
    return newest + 1;
}

// Once it is certain that the guest begins here.
Result<void> take_disks(const BuiltMachine& built, const node::PrimaryCommandOptions& options) {
    if (options.machine.force_stale) FMVM_TRY(accept_images(built));
    if (options.block == lockstep::BlockMode::shared)
        FMVM_TRY(node::leave_protection(options.machine.disks, built.disks));
    return {};
}

// It was won for nothing; the next start need not ask whether this one is still running.
int report_not_begun(const std::shared_ptr<Arbiter>& arbiter, Generation generation,
                     const Error& error) {
    mark_ended(arbiter, generation, "primary");
    return report_error(error.message(), ExitStatus::failure);
}

Purpose purpose_of(const node::PrimaryCommandOptions& options, const VmId& vm) {
    return {.kind = Purpose::Kind::protect,
            .dirty_log = options.replication.dirty_log,
            .block = options.block,
            .hold_writes = options.replication.policy.mode == lockstep::SyncMode::kemari,
            .vm = vm};
}

}  // namespace

int primary_command(const node::PrimaryCommandOptions& options) {
    prepare_process();
    keep_message_memory();
    Result<Kvm> kvm = Kvm::open();
    if (!kvm.ok()) return report_error(kvm.error().message(), ExitStatus::failure);
    boost::asio::io_context control(1);
    Result<std::unique_ptr<node::ControlSocket>> control_socket =
        node::open_control(control, options.machine.control);
    if (!control_socket.ok())
        return report_error(control_socket.error().message(), ExitStatus::usage);
    Result<VmId> vm = choose_vm_id(options.arbiter);
    if (!vm.ok()) return report_error(vm.error().message(), ExitStatus::usage);
    Result<std::shared_ptr<Arbiter>> arbiter = open_arbiter(options.arbiter, *vm, make_side_name());
    if (!arbiter.ok()) return report_error(arbiter.error().message(), ExitStatus::usage);
    ExitStatus status = ExitStatus::failure;
    Result<BuiltMachine> built =
        build_guest(*kvm, options.machine, purpose_of(options, *vm), status);
    if (!built.ok()) return report_error(built.error().message(), status);

    Result<Generation> won = begin_generation(**arbiter, *built, *vm, options);
    if (!won.ok()) return report_error(won.error().message(), ExitStatus::usage);
    const Result<void> taken = take_disks(*built, options);
    if (!taken.ok()) return report_not_begun(*arbiter, *won, taken.error());
    const auto generation = std::make_shared<std::atomic<Generation>>(*won);
    std::optional<Outcome> outcome;
    std::string report;
    {
        ProtectedRun run(*built, *arbiter, control, "primary");
        const Result<void> prepared =
            run.prepare({*vm, generation, options.block}, options.backup, options.replication);
        if (!prepared.ok()) return report_not_begun(*arbiter, *won, prepared.error());
        guard_output(
            *built, *arbiter, [generation] { return generation->load(); },
            options.replication.lost_after);
        built->machine->on_end([&run, &control](GuestEnd reason) {
            boost::asio::post(control, [&run, reason] { run.guest_ended(reason); });
        });
        const bool on_terminal = options.machine.console.kind == node::ConsoleKind::stdio;
        if (on_terminal) {
            const Result<void> connected = connect_input(*built);
            if (!connected.ok()) return report_not_begun(*arbiter, *won, connected.error());
        }
        // The last that can fail: a log without a guest would only be in the way of the next start.
        const Result<void> recording = begin_recording(*built, options.machine, *vm, *won);
        if (!recording.ok()) return report_not_begun(*arbiter, *won, recording.error());
        std::optional<node::RawTerminal> terminal;
        if (on_terminal) terminal.emplace(STDIN_FILENO);
        begin_console(options.machine);
        tell_quirks(*built);
        if (*control_socket) run.serve(**control_socket);
        built->machine->start();
        outcome = run.run([&terminal] { terminal.reset(); });
        report = built->machine->report();
        built->machine.reset();  // writes what is left of the console
    }
    return report_outcome(*outcome, report);
}

}  // namespace fmvm::cli
