// SPDX-License-Identifier: Apache-2.0
#include "node/run/primary_start.h"

#include <optional>

#include "base/random.h"
#include "node/build/disk_labels.h"
#include "node/run/arbiter_access.h"
#include "replay/image/label_rules.h"

namespace fmvm::node {

namespace {

using lockstep::Arbiter;
using lockstep::Claim;
using lockstep::Generation;
using lockstep::VmId;

// An arbiter's path that was used before belongs to the same guest, started again. Otherwise the
// guest is the one that its disks know; or a new one, and its identity is drawn.
Result<VmId> choose_vm_id(const PrimaryCommandOptions& options) {
    if (!options.arbiter.none) {
        const std::optional<VmId> known =
            FMVM_TRY(lockstep::file_arbiter_owner(options.arbiter.path));
        if (known) return *known;
    }
    if (lockstep::has_own_disks(options.block)) {
        const std::optional<VmId> known = FMVM_TRY(labelled_guest(options.machine.disks));
        if (known) return *known;
    }
    return random_value<VmId>();
}

// No image whose guest went on elsewhere may run it again.
Result<void> check_labels(const BuiltMachine& built, const VmId& vm, Generation newest) {
    for (std::size_t i = 0; i < built.own_disks.size(); ++i) {
        const OwnDisk& disk = built.own_disks[i];
        FMVM_TRY(replay::may_protect({replay::LabelState::whole, disk.map->label()}, disk.path,
                                     {vm, i, built.own_disks.size()}, newest));
    }
    return {};
}

Result<void> accept_images(const BuiltMachine& built) {
    for (const OwnDisk& disk : built.own_disks)
        FMVM_TRY(disk.map->break_lineage(replay::DiskRole::clean));
    return {};
}

// Wins the generation under which the guest starts here. Refused while another side may run it.
Result<Generation> begin_generation(Arbiter& arbiter, const BuiltMachine& built, const VmId& vm,
                                    const PrimaryCommandOptions& options) {
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

// Makes the disks this guest's, once it is certain that the guest begins here.
Result<void> take_disks(const BuiltMachine& built, const PrimaryCommandOptions& options) {
    // A snapshot knows its disks by their pair ids: these are not as they were any more.
    const bool restored = !options.machine.restore.empty();
    if (options.machine.force_stale || restored) FMVM_TRY(accept_images(built));
    if (options.block == lockstep::BlockMode::shared)
        FMVM_TRY(leave_protection(options.machine.disks, built.disks));
    return {};
}

Purpose purpose_of(const PrimaryCommandOptions& options, const VmId& vm) {
    return {.kind = Purpose::Kind::protect,
            .dirty_log = options.replication.dirty_log,
            .block = options.block,
            .hold_writes = options.replication.policy.mode == lockstep::SyncMode::kemari,
            .vm = vm};
}

}  // namespace

Result<PrimaryStart> start_primary(const Kvm& kvm, const PrimaryCommandOptions& options) {
    PrimaryStart start;
    start.vm = FMVM_TRY(blame_input(choose_vm_id(options)));
    start.arbiter =
        FMVM_TRY(blame_input(open_arbiter(options.arbiter, start.vm, make_side_name())));
    start.built = FMVM_TRY(build_guest(kvm, options.machine, purpose_of(options, start.vm)));
    const Generation won =
        FMVM_TRY(blame_input(begin_generation(*start.arbiter, start.built, start.vm, options)));
    start.generation = std::make_shared<std::atomic<Generation>>(won);
    const Result<void> taken = take_disks(start.built, options);
    if (taken.ok()) return start;
    mark_ended(start.arbiter, won, "primary");
    return taken.error();
}

}  // namespace fmvm::node
