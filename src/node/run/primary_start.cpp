// SPDX-License-Identifier: Apache-2.0
#include "node/run/primary_start.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/boot_time.h"
#include "base/log.h"
#include "base/random.h"
#include "lockstep/service/guest_question.h"
#include "node/build/disk_labels.h"
#include "node/run/arbiter_access.h"
#include "replay/image/label_rules.h"

namespace fmvm::node {

namespace {

using lockstep::Arbiter;
using lockstep::Claim;
using lockstep::Generation;
using lockstep::VmId;

// How long a start waits for its peer's word.
constexpr std::chrono::milliseconds answer_limit{1500};

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

// How many disks the guest has had, as far as their labels know; 0: none of them says.
std::size_t disks_known(const BuiltMachine& built) {
    std::size_t known = 0;
    for (const OwnDisk& disk : built.own_disks) {
        const replay::DiskLabel label = disk.map->label();
        if (!label.is_used()) continue;
        known = std::max<std::size_t>({known, label.disks, label.disk + std::size_t{1}});
    }
    return known;
}

// No image whose guest went on elsewhere may run it again, unless its operator says so; then it is
// said first what that gives up. Returns the disks that begin anew.
using Maps = std::vector<replay::DirtyBlockMap*>;
Result<Maps> check_labels(const BuiltMachine& built, const VmId& vm, Generation newest,
                          bool force_stale) {
    const std::size_t known = disks_known(built);
    Maps stale;
    for (std::size_t i = 0; i < built.own_disks.size(); ++i) {
        const OwnDisk& disk = built.own_disks[i];
        if (disk.image->read_only) continue;  // looked at when it was opened
        const replay::DiskLabel label = disk.map->label();
        const Result<void> allowed =
            replay::may_protect({replay::LabelState::whole, label}, disk.path,
                                {vm, i, built.own_disks.size(), known != 0 && i >= known}, newest);
        if (allowed.ok()) continue;
        if (!force_stale) return allowed.error();
        log::warning("primary",
                     "--force-stale: disk {} is used as it is ({} in generation {}, the newest is "
                     "{}); whatever this guest has written elsewhere is given up",
                     disk.path, name_of(label.role), label.generation, newest);
        stale.push_back(disk.map);
    }
    return stale;
}

// The peer may run the guest of this arbiter, or the one that the disks belong to.
bool concerns(const lockstep::KnownGuestMessage& known, const BuiltMachine& built, const VmId& vm) {
    return known.vm == vm || std::ranges::any_of(built.own_disks, [&known](const OwnDisk& disk) {
               const replay::DiskLabel label = disk.map->label();
               return label.is_used() && label.vm == known.vm;
           });
}

// Whatever the options say, a guest that runs is not begun anew.
Result<void> check_peer(const BuiltMachine& built, const VmId& vm,
                        const PrimaryCommandOptions& options,
                        const std::shared_ptr<lockstep::TlsKeyring>& keys) {
    using lockstep::GuestPlace;
    const auto known = lockstep::ask_for_guest(options.backup, keys, answer_limit);
    if (!known) {
        if (options.restart || options.machine.force_stale) {
            log::warning("primary", "{} does not answer: nobody knows whether it runs this guest",
                         options.backup.text());
        }
        return {};
    }
    if (known->place == GuestPlace::nowhere || !concerns(*known, built, vm)) return {};
    return make_error(
        "this guest runs {} {} (generation {}); start this side as a backup, or end the guest "
        "there first",
        known->place == GuestPlace::here ? "on" : "on the primary that is followed by",
        options.backup.text(), known->generation);
}

// Whether the last run may be followed by a new one. True: it has ended.
Result<bool> check_ended(Arbiter& arbiter, Generation newest, bool restart) {
    if (newest == 0 || FMVM_TRY(arbiter.has_ended(newest))) return true;
    if (!restart) {
        return make_error(
            "generation {} of this guest has not ended: it may be running on its backup, or have "
            "run there last; join that side as its backup",
            newest);
    }
    log::warning("primary",
                 "--restart: generation {} is given up: a side that still runs it halts, and what "
                 "the guest did there is lost",
                 newest);
    return false;
}

struct Begun {
    Generation generation = 0;
    Maps stale;
    bool by_override = false;  // another side may run the guest, and has not noticed yet
};

// Wins the generation under which the guest starts here. Refused while another side may run it.
Result<Begun> begin_generation(Arbiter& arbiter, const BuiltMachine& built, const VmId& vm,
                               const PrimaryCommandOptions& options,
                               const std::shared_ptr<lockstep::TlsKeyring>& keys) {
    const Generation newest = FMVM_TRY(arbiter.newest());
    FMVM_TRY(check_peer(built, vm, options, keys));
    Maps stale = FMVM_TRY(check_labels(built, vm, newest, options.machine.force_stale));
    const bool ended = FMVM_TRY(check_ended(arbiter, newest, options.restart));
    const bool by_override = !ended || !stale.empty();
    if (FMVM_TRY(arbiter.claim(newest + 1)) == Claim::lost)
        return make_error("generation {} was won by another side just now; start again",
                          newest + 1);
    return Begun{newest + 1, std::move(stale), by_override};
}

// After the claim.
lockstep::BootTime speak_from(bool by_override) {
    if (!by_override) return lockstep::BootTime::zero();
    log::warning("primary",
                 "the guest is silent for {} s first: so long a side that ran it before may speak "
                 "until it notices",
                 lockstep::longest_permit.count());
    return boot_time() + lockstep::longest_permit;
}

// Makes the disks this guest's, once it is certain that the guest begins here.
Result<void> take_disks(const BuiltMachine& built, const Maps& stale,
                        const PrimaryCommandOptions& options) {
    for (replay::DirtyBlockMap* const map : stale)
        FMVM_TRY(map->begin_anew());
    // A snapshot knows its disks by their pair ids: these are not as they were any more.
    if (!options.machine.restore.empty()) {
        for (const OwnDisk& disk : built.own_disks)
            FMVM_TRY(disk.map->break_lineage(replay::DiskRole::clean));
    }
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

Result<PrimaryStart> start_primary(const Kvm& kvm, const PrimaryCommandOptions& options,
                                   const std::shared_ptr<lockstep::TlsKeyring>& keys) {
    PrimaryStart start;
    start.vm = FMVM_TRY(blame_input(choose_vm_id(options)));
    start.pair = FMVM_TRY(lockstep::PairPermit::create());
    start.arbiter =
        FMVM_TRY(blame_input(open_arbiter(options.arbiter, start.vm, make_side_name())));
    start.built = FMVM_TRY(build_guest(kvm, options.machine, purpose_of(options, start.vm)));
    const Begun begun = FMVM_TRY(
        blame_input(begin_generation(*start.arbiter, start.built, start.vm, options, keys)));
    start.generation = std::make_shared<std::atomic<Generation>>(begun.generation);
    start.speak_from = speak_from(begun.by_override);
    const Result<void> taken = take_disks(start.built, begun.stale, options);
    if (taken.ok()) return start;
    mark_ended(start.arbiter, begun.generation, "primary");
    return taken.error();
}

}  // namespace fmvm::node
