// SPDX-License-Identifier: Apache-2.0
#include "cli/options/protection_arguments.h"

#include <algorithm>

#include "cli/options/option_values.h"

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

Result<std::string> as_text(std::string_view text) {
    if (text.empty()) return Error("is empty; give a path");
    return std::string(text);
}

Result<bool> parse_switch(std::string_view text) {
    if (text == "on") return true;
    if (text == "off") return false;
    return make_error("'{}' is not on or off", text);
}

Result<lockstep::PageCompression> parse_compression(std::string_view text) {
    if (text == "off") return lockstep::PageCompression{false, false};
    if (text == "delta") return lockstep::PageCompression{true, false};
    if (text == "delta+lz4" || text == "auto") return lockstep::PageCompression{true, true};
    return make_error("'{}' is not auto, off, delta or delta+lz4", text);
}

Result<DirtyLogKind> parse_dirty_log(std::string_view text) {
    if (text == "bitmap") return DirtyLogKind::bitmap;
    if (text == "ring") return DirtyLogKind::ring;
    return make_error("'{}' is not bitmap or ring", text);
}

template <typename T>
Result<T> needed(std::optional<T> value, const char* what) {
    if (!value) return make_error("{}", what);
    return std::move(*value);
}

// Applies the word, if it stands, to a value that has a default.
template <typename T, typename U>
Result<void> replace(T& target, const char* option, const std::vector<std::string>& words,
                     Result<U> (*parse)(std::string_view)) {
    std::optional<U> value;
    FMVM_TRY(apply(value, option, words, parse));
    if (value) target = static_cast<T>(*value);
    return {};
}

Result<void> replace_ms(std::chrono::milliseconds& target, const char* option,
                        const std::vector<std::string>& words) {
    std::optional<std::chrono::microseconds> value;
    FMVM_TRY(apply(value, option, words, node::parse_duration));
    if (!value) return {};
    if (*value < std::chrono::milliseconds(1)) return make_error("{}: give at least 1ms", option);
    target = std::chrono::duration_cast<std::chrono::milliseconds>(*value);
    return {};
}

Result<node::ArbiterOptions> arbiter_options(const ProtectionArguments& words) {
    std::optional<node::ArbiterOptions> arbiter;
    FMVM_TRY(apply(arbiter, "--arbiter", words.arbiter, node::parse_arbiter));
    return needed(std::move(arbiter),
                  "no arbiter given; add --arbiter file:PATH, where both sides reach PATH");
}

// A ring protects again whatever it hands out: no page could be hot.
Result<void> choose_dirty_log(node::ReplicationOptions& options, const ProtectionArguments& words) {
    FMVM_TRY(replace(options.dirty_log, "--dirty-log", words.dirty_log, parse_dirty_log));
    bool& hot_pages = options.checkpointer.hot_pages;
    hot_pages = options.dirty_log != DirtyLogKind::ring;
    FMVM_TRY(replace(hot_pages, "--hot-pages", words.hot_pages, parse_switch));
    if (hot_pages && options.dirty_log == DirtyLogKind::ring) {
        return Error(
            "--hot-pages on: the dirty ring leaves no page writable; leave --dirty-log ring out");
    }
    return {};
}

Result<void> apply_policy(lockstep::EpochPolicyOptions& policy, const ProtectionArguments& words) {
    FMVM_TRY(replace(policy.mode, "--sync", words.sync, node::parse_sync));
    FMVM_TRY(replace(policy.interval_max, "--epoch", words.epoch, node::parse_duration));
    FMVM_TRY(
        replace(policy.output_delay, "--output-delay", words.output_delay, node::parse_duration));
    const bool adaptive = policy.mode == lockstep::SyncMode::adaptive;
    if (!adaptive && !(words.output_delay.empty() && words.dirty_budget.empty())) {
        return make_error("--sync {}: has no use for {}; leave it out", words.sync.front(),
                          words.output_delay.empty() ? "--dirty-budget" : "--output-delay");
    }
    std::uint64_t dirty_bytes = policy.dirty_budget * page_size;
    FMVM_TRY(replace(dirty_bytes, "--dirty-budget", words.dirty_budget, parse_size));
    if (dirty_bytes < mib) return Error("--dirty-budget: give 1M or more");
    policy.dirty_budget = dirty_bytes / page_size;
    return {};
}

Result<void> apply_checkpointer(lockstep::CheckpointerOptions& checkpointer,
                                const ProtectionArguments& words) {
    FMVM_TRY(replace(checkpointer.store_bytes, "--staging", words.staging, parse_size));
    if (checkpointer.store_bytes < mib || checkpointer.store_bytes > 1024 * gib)
        return Error("--staging: give 1M to 1T");
    FMVM_TRY(replace(checkpointer.compression, "--compress", words.compress, parse_compression));
    if (words.compress == std::vector<std::string>{"delta+lz4"})
        checkpointer.lz4_pages_max = lockstep::CheckpointerOptions::lz4_all;
    return replace(checkpointer.verify_every, "--verify", words.verify, parse_count);
}

Result<node::ReplicationOptions> replication_options(const ProtectionArguments& words) {
    node::ReplicationOptions options;
    FMVM_TRY(apply_policy(options.policy, words));
    FMVM_TRY(replace_ms(options.heartbeat, "--heartbeat", words.heartbeat));
    FMVM_TRY(replace_ms(options.lost_after, "--lost-after", words.lost_after));
    if (options.lost_after < 2 * options.heartbeat)
        return Error("--lost-after: give at least twice the --heartbeat");
    FMVM_TRY(replace(options.on_backup_lost, "--on-backup-lost", words.on_backup_lost,
                     node::parse_on_backup_lost));
    FMVM_TRY(apply_checkpointer(options.checkpointer, words));
    // Half of it for what a cut has to stage; the rest for hot pages and what is being sent.
    options.policy.dirty_budget =
        std::min(options.policy.dirty_budget, options.checkpointer.store_bytes / page_size / 2);
    FMVM_TRY(choose_dirty_log(options, words));
    FMVM_TRY(replace(options.durable, "--ack", words.acknowledgement, node::parse_acknowledgement));
    FMVM_TRY(replace(options.trace, "--trace", words.trace, as_text));
    return options;
}

// Of a guest with disks; each side has its own unless something else was said.
Result<lockstep::BlockMode> block_mode(const ProtectionArguments& words,
                                       const node::MachineOptions& machine) {
    lockstep::BlockMode mode = lockstep::BlockMode::replay;
    FMVM_TRY(replace(mode, "--block", words.block, node::parse_block_mode));
    return machine.disks.empty() ? lockstep::BlockMode::none : mode;
}

void add_common(CLI::App& app, ProtectionArguments& words) {
    add_option(app, "--arbiter", words.arbiter, "file:PATH|none",
               "Who decides which side goes on alone; the same for both (needed)");
    add_option(app, "--block", words.block, "replay|copy|shared",
               "How disks get to the other side: each has its own, and requests are replayed "
               "(default) or written data is copied; or both see the same image");
    app.add_flag("--insecure-plaintext", words.insecure_plaintext,
                 "Let guest memory cross the network unencrypted");
    app.allow_extras();
}

void add_replication(CLI::App& app, ProtectionArguments& words) {
    add_option(app, "--sync", words.sync, "kemari|epoch|adaptive",
               "When to cut (default adaptive)");
    add_option(app, "--epoch", words.epoch, "TIME", "Longest time between cuts (default 50ms)");
    add_option(app, "--output-delay", words.output_delay, "TIME",
               "How long output may wait to be released, in the adaptive mode (default 2ms)");
    add_option(app, "--dirty-budget", words.dirty_budget, "SIZE",
               "Cut earlier when the guest newly writes more, in the adaptive mode (default 16M)");
    add_option(app, "--heartbeat", words.heartbeat, "TIME", "Sign of life (default 20ms)");
    add_option(app, "--lost-after", words.lost_after, "TIME",
               "Silence after which a side counts as lost (default 200ms)");
    add_option(app, "--on-backup-lost", words.on_backup_lost, "continue|stop",
               "What to do without a backup (default continue)");
    add_option(app, "--staging", words.staging, "SIZE",
               "Memory for copies of pages (default 256M)");
    add_option(app, "--compress", words.compress, "auto|off|delta|delta+lz4",
               "How pages are made smaller (default auto: deltas, and LZ4 for the first pages of "
               "an epoch)");
    add_option(app, "--dirty-log", words.dirty_log, "bitmap|ring",
               "How KVM tells which pages the guest wrote (default bitmap; ring: no hot pages)");
    add_option(app, "--hot-pages", words.hot_pages, "on|off",
               "Leave pages that are always written writable, and compare them (default on)");
    add_option(app, "--verify", words.verify, "N",
               "Compare all of RAM with the backup's every N epochs (slow)");
    add_option(
        app, "--ack", words.acknowledgement, "received|durable",
        "An epoch counts as committed when the backup has it in memory (default), or when its "
        "disks hold it on stable storage");
    add_option(app, "--trace", words.trace, "FILE", "Write one JSON line per epoch");
}

}  // namespace

CLI::App* add_primary(CLI::App& app, ProtectionArguments& words) {
    CLI::App* const primary =
        app.add_subcommand("primary", "Run a virtual machine and keep a backup in step");
    add_machine_options(*primary, words.machine);
    add_option(*primary, "--backup", words.backup, "ADDR:PORT", "The backup's address (needed)");
    add_common(*primary, words);
    add_replication(*primary, words);
    add_start_options(*primary, words.machine);
    primary->add_flag("--restart", words.restart,
                      "Begin anew although the last run did not end in an orderly way");
    primary->footer(primary_footer);
    return primary;
}

CLI::App* add_backup(CLI::App& app, ProtectionArguments& words) {
    CLI::App* const backup =
        app.add_subcommand("backup", "Follow a primary and go on with its guest when it dies");
    add_device_options(*backup, words.machine);
    add_option(*backup, "--listen", words.listen, "ADDR:PORT", "Where to wait (needed)");
    add_option(*backup, "--dir", words.directory, "PATH", "What this backup remembers (needed)");
    add_option(*backup, "--backup", words.backup, "ADDR:PORT",
               "Who protects the guest once it runs here: a backup that listens there, or will");
    add_common(*backup, words);
    add_replication(*backup, words);
    backup->footer(backup_footer);
    return backup;
}

Result<node::PrimaryCommandOptions> primary_options(const ProtectionArguments& words) {
    node::PrimaryCommandOptions options;
    options.machine = FMVM_TRY(machine_options(words.machine));
    std::optional<lockstep::Endpoint> backup;
    FMVM_TRY(apply(backup, "--backup", words.backup, node::parse_endpoint));
    options.backup = FMVM_TRY(needed(std::move(backup), "no backup given; add --backup ADDR:PORT"));
    options.arbiter = FMVM_TRY(arbiter_options(words));
    options.block = FMVM_TRY(block_mode(words, options.machine));
    if (!options.machine.record.empty() && options.block == lockstep::BlockMode::shared) {
        return Error(
            "--record: only disks that each side has of its own are recorded; leave it "
            "out, or --block shared");
    }
    options.restart = words.restart;
    FMVM_TRY(node::check_plaintext("--backup", options.backup, words.insecure_plaintext));
    options.replication = FMVM_TRY(replication_options(words));
    return options;
}

Result<node::BackupCommandOptions> backup_options(const ProtectionArguments& words) {
    node::BackupCommandOptions options;
    options.machine = FMVM_TRY(device_options(words.machine));
    std::optional<lockstep::Endpoint> listen;
    FMVM_TRY(apply(listen, "--listen", words.listen, node::parse_endpoint));
    options.listen =
        FMVM_TRY(needed(std::move(listen), "no address given; add --listen ADDR:PORT"));
    std::optional<std::string> directory;
    FMVM_TRY(apply(directory, "--dir", words.directory, as_text));
    options.directory =
        FMVM_TRY(needed(std::move(directory), "no directory given; add --dir PATH"));
    options.arbiter = FMVM_TRY(arbiter_options(words));
    options.block = FMVM_TRY(block_mode(words, options.machine));
    FMVM_TRY(node::check_plaintext("--listen", options.listen, words.insecure_plaintext));
    FMVM_TRY(apply(options.next_backup, "--backup", words.backup, node::parse_endpoint));
    if (options.next_backup)
        FMVM_TRY(node::check_plaintext("--backup", *options.next_backup, words.insecure_plaintext));
    options.replication = FMVM_TRY(replication_options(words));
    return options;
}

}  // namespace fmvm::cli
