// SPDX-License-Identifier: Apache-2.0
#include "cli/options/protection_arguments.h"

#include <algorithm>
#include <optional>

#include "cli/commands/backup_command.h"
#include "cli/commands/primary_command.h"
#include "cli/options/option_values.h"
#include "cli/options/protection_table.h"
#include "cli/options/protection_values.h"
#include "cli/options/run_arguments.h"
#include "lockstep/channel/permit_terms.h"

namespace fmvm::cli {

namespace {

constexpr const char* primary_footer = R"(
Times: 500us, 20ms, 1s. Sizes as for fmvm run. All options of fmvm run apply (fmvm run --help).

The backup may be started before or after; without one the guest runs unprotected, and the log says
so. SIGUSR1 prints figures of the last epochs on stderr.

Example, on one machine:
  fmvm backup  --listen 127.0.0.1:7000 --dir /var/lib/fmvm/b --arbiter file:/shared/vm1
  fmvm primary --backup 127.0.0.1:7000 --arbiter file:/shared/vm1 --kernel vmlinux

Exit status: as fmvm run, and
  0  the guest powered off, or was switched over to the backup
  7  the backup has taken over; this side halted before it emitted anything
  8  the backup is lost and --on-backup-lost stop was given)";

constexpr const char* backup_footer = R"(
Memory and CPUs are the primary's to say. Disks are given in the same order as on the primary.
The arbiter decides who goes on when the two lose sight of each other: both sides must reach the
same path (one machine: any directory; two: a shared mount).

Exit status: as fmvm run once the guest runs here; before that
  0  the guest has ended on the primary
  6  stopped by the operator while waiting or following)";

// What stands on the command line beside the machine and its replication.
struct GivenProtection {
    std::optional<lockstep::Endpoint> backup, listen;
    std::optional<std::string> directory;
    std::optional<std::uint64_t> memory_max;
    std::chrono::milliseconds lost_after_max = node::BackupCommandOptions().lost_after_max;
    std::chrono::milliseconds claim_delay = node::BackupCommandOptions().claim_delay;
    std::optional<node::ArbiterOptions> arbiter;
    lockstep::BlockMode block = lockstep::BlockMode::replay;  // of a guest with disks
    std::string key_file;                                     // of --tls; empty: none
    bool insecure_plaintext = false;
    bool restart = false;
    bool new_disks = false;
    bool discard_disks = false;
};

constexpr Option<GivenProtection> of_the_primary[] = {
    {{"--backup", "ADDR:PORT", "The backup's address (needed)"},
     into<parse_endpoint, &GivenProtection::backup>},
};

constexpr Option<GivenProtection> of_the_backup[] = {
    {{"--listen", "ADDR:PORT", "Where to wait (needed)"},
     into<parse_endpoint, &GivenProtection::listen>},
    {{"--dir", "PATH", "What this backup remembers (needed)"},
     into<parse_path, &GivenProtection::directory>},
    {{"--backup", "ADDR:PORT",
      "Who protects the guest once it runs here: a backup that listens there, or will"},
     into<parse_endpoint, &GivenProtection::backup>},
    {{"--max-memory", "SIZE", "Refuse a guest with more memory (default: what this host has)"},
     into<parse_size, &GivenProtection::memory_max>},
    {{"--max-lost-after", "TIME", "Refuse a primary with a longer --lost-after (default {})",
      "60s"},
     into<parse_milliseconds, &GivenProtection::lost_after_max>},
    {{"--claim-delay", "TIME",
      "In a silence, wait so much longer than the primary before this side claims the guest "
      "(default {})",
      "100ms"},
     into<parse_milliseconds, &GivenProtection::claim_delay>},
    {{"--new-disk", "", "Overwrite disks without a label, whatever is on them"},
     turn_on<&GivenProtection::new_disks>},
    {{"--discard-disk", "",
      "Overwrite disks that hold what the primary's do not descend from, a later state than they, "
      "or "
      "another guest's"},
     turn_on<&GivenProtection::discard_disks>},
};

constexpr Option<GivenProtection> of_both[] = {
    {{"--arbiter", "file:PATH|none",
      "Who decides which side goes on alone; the same for both (needed)"},
     into<parse_arbiter, &GivenProtection::arbiter>},
    {{"--block", "replay|copy|shared",
      "How disks get to the other side: each has its own, and requests are replayed (default) or "
      "written data is copied; or both see the same image",
      "replay"},
     into<parse_block_mode, &GivenProtection::block>},
    {{"--tls", "psk:FILE",
      "Encrypt what the two sides say to each other, and talk to nobody who does not hold the key "
      "in this file (fmvm key create); the same for both"},
     into<parse_tls, &GivenProtection::key_file>},
    {{"--insecure-plaintext", "", "Let guest memory cross the network unencrypted"},
     turn_on<&GivenProtection::insecure_plaintext>},
};

constexpr Option<GivenProtection> of_the_start[] = {
    {{"--restart", "",
      "Begin anew although the last run did not end in an orderly way; what the guest did where it "
      "ran last is given up"},
     turn_on<&GivenProtection::restart>},
};

template <typename T>
Result<T> needed(std::optional<T> value, const char* what) {
    if (!value) return Error(what);
    return std::move(*value);
}

Result<node::ArbiterOptions> needed_arbiter(const GivenProtection& given) {
    return needed(given.arbiter,
                  "no arbiter given; add --arbiter file:PATH, where both sides reach PATH");
}

lockstep::BlockMode block_mode(const GivenProtection& given, const node::MachineOptions& machine) {
    return machine.disks.empty() ? lockstep::BlockMode::none : given.block;
}

Result<void> check_policy(const lockstep::EpochPolicyOptions& policy, const Arguments& arguments) {
    if (policy.mode == lockstep::SyncMode::adaptive) return {};
    for (const char* const option : {"--output-delay", "--dirty-budget"}) {
        if (!arguments.has(option)) continue;
        return make_error("--sync {}: has no use for {}; leave it out",
                          arguments.behind("--sync").front(), option);
    }
    return {};
}

// A ring protects again whatever it hands out: no page can be hot.
Result<void> choose_hot_pages(node::ReplicationOptions& options, const Arguments& arguments) {
    if (options.dirty_log != DirtyLogKind::ring) return {};
    if (arguments.has("--hot-pages") && options.checkpointer.hot_pages) {
        return Error(
            "--hot-pages on: the dirty ring leaves no page writable; leave --dirty-log ring out");
    }
    options.checkpointer.hot_pages = false;
    return {};
}

// A short --lost-after shortens the permit that nobody has asked for.
Result<void> choose_permit(node::ReplicationOptions& options, const Arguments& arguments) {
    constexpr std::chrono::milliseconds shortest = lockstep::shortest_permit;
    const auto longest = std::chrono::floor<std::chrono::milliseconds>(
        lockstep::longest_promise(options.lost_after));
    if (longest < shortest)
        return make_error("--lost-after: give at least {} ms", 2 * shortest.count());
    if (!arguments.has("--permit")) options.permit = std::min(options.permit, longest);
    if (options.permit >= shortest && options.permit <= longest) return {};
    return make_error("--permit: give {} ms at least, and at most half of --lost-after and {} s",
                      shortest.count(), lockstep::longest_permit.count());
}

// How the two sides talk: not in the clear to another host, unless that was asked for.
Result<void> check_privacy(const GivenProtection& given) {
    const bool encrypted = !given.key_file.empty();
    if (encrypted && given.insecure_plaintext)
        return Error(
            "--insecure-plaintext: --tls leaves nothing in the clear; leave one of them out");
    if (encrypted || given.insecure_plaintext) return {};
    if (given.listen) FMVM_TRY(check_plaintext("--listen", *given.listen));
    if (given.backup) FMVM_TRY(check_plaintext("--backup", *given.backup));
    return {};
}

Result<node::ReplicationOptions> replication_options(const Arguments& arguments,
                                                     const GivenProtection& given) {
    FMVM_TRY(check_privacy(given));
    node::ReplicationOptions options;
    options.key_file = given.key_file;
    for (const auto& option : replication_table())
        FMVM_TRY(take(options, arguments, option));
    FMVM_TRY(check_policy(options.policy, arguments));
    if (options.lost_after < 2 * options.heartbeat)
        return Error("--lost-after: give at least twice the --heartbeat");
    FMVM_TRY(choose_permit(options, arguments));
    // Half of the store is for what a cut has to stage, the rest for hot pages and pages on their
    // way.
    options.policy.dirty_budget =
        std::min(options.policy.dirty_budget, options.checkpointer.store_bytes / page_size / 2);
    FMVM_TRY(choose_hot_pages(options, arguments));
    return options;
}

void list_replication_options(std::vector<OptionText>& texts) {
    for (const auto& option : replication_table())
        texts.push_back(option.text);
}

int run_primary(const Arguments& arguments) {
    const Result<node::PrimaryCommandOptions> options = primary_options(arguments);
    if (options.ok()) set_verbosity(options.value().machine);
    return obey(options, primary_command);
}

int run_backup(const Arguments& arguments) {
    const Result<node::BackupCommandOptions> options = backup_options(arguments);
    if (options.ok()) set_verbosity(options.value().machine);
    return obey(options, backup_command);
}

}  // namespace

Command primary_line() {
    Command line{"primary",
                 "Run a virtual machine and keep a backup in step",
                 primary_footer,
                 {},
                 run_primary};
    list_machine_options(line.options);
    list(line.options, of_the_primary);
    list(line.options, of_both);
    list_replication_options(line.options);
    list_disk_start_options(line.options);
    list(line.options, of_the_start);
    return line;
}

Command backup_line() {
    Command line{"backup",
                 "Follow a primary and go on with its guest when it dies",
                 backup_footer,
                 {},
                 run_backup};
    list_device_options(line.options);
    list(line.options, of_the_backup);
    list(line.options, of_both);
    list_replication_options(line.options);
    return line;
}

Result<node::PrimaryCommandOptions> primary_options(const Arguments& arguments) {
    node::PrimaryCommandOptions options;
    options.machine = FMVM_TRY(machine_options(arguments));
    GivenProtection given;
    FMVM_TRY(take_all(given, arguments, of_the_primary));
    FMVM_TRY(take_all(given, arguments, of_both));
    FMVM_TRY(take_all(given, arguments, of_the_start));
    options.backup = FMVM_TRY(needed(given.backup, "no backup given; add --backup ADDR:PORT"));
    options.arbiter = FMVM_TRY(needed_arbiter(given));
    options.block = block_mode(given, options.machine);
    if (!options.machine.record.empty() && options.block == lockstep::BlockMode::shared) {
        return Error(
            "--record: only disks that each side has of its own are recorded; leave it out, or "
            "--block shared");
    }
    options.restart = given.restart;
    options.replication = FMVM_TRY(replication_options(arguments, given));
    return options;
}

Result<node::BackupCommandOptions> backup_options(const Arguments& arguments) {
    node::BackupCommandOptions options;
    options.machine = FMVM_TRY(device_options(arguments));
    GivenProtection given;
    FMVM_TRY(take_all(given, arguments, of_the_backup));
    FMVM_TRY(take_all(given, arguments, of_both));
    options.listen = FMVM_TRY(needed(given.listen, "no address given; add --listen ADDR:PORT"));
    options.directory = FMVM_TRY(needed(given.directory, "no directory given; add --dir PATH"));
    options.arbiter = FMVM_TRY(needed_arbiter(given));
    options.block = block_mode(given, options.machine);
    options.memory_max = given.memory_max;
    options.lost_after_max = given.lost_after_max;
    options.claim_delay = given.claim_delay;
    options.new_disks = given.new_disks;
    options.discard_disks = given.discard_disks;
    options.next_backup = given.backup;
    options.replication = FMVM_TRY(replication_options(arguments, given));
    return options;
}

}  // namespace fmvm::cli
