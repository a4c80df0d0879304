// SPDX-License-Identifier: Apache-2.0
#include "cli/options/control_arguments.h"

#include "cli/options/option_values.h"

namespace fmvm::cli {

namespace {

constexpr const char* snapshot_footer = R"(
The directory is made by the running fmvm: `state` (CPUs and devices) and `ram`. Disks are not in
it; with --stop they are as the guest left them, and fmvm run --restore goes on with both. Without
--stop the guest goes on, and changes them: copy them before, for example from a file system
snapshot.

Exit status: 0 when the snapshot is complete, 1 when there is none, 2 for bad usage.)";

constexpr const char* switchover_footer = R"(
Nothing that the guest shows is lost or repeated. The side that ran the guest ends with status 0
when the other runs it. It prints for how long the guest stood.

Exit status: 0 when the guest runs on the other side, 1 when it does not, 2 for bad usage.)";

constexpr const char* verify_footer = R"(
All of the guest's memory is compared as it is at one instant: the guest stands while it is digested,
0.15 s and more for each GiB. Disks of which each side has its own are compared beside the running guest.
A backup that differs does not take over any more, is made equal again, and protects the guest then.

Exit status: 0 when both are equal, 9 when they are not, 1 when that could not be found out, 2 for bad
usage.)";

void add_control(CLI::App& command, ControlArguments& words, const char* help) {
    add_option(command, "--control", words.control, "PATH", help);
    command.allow_extras();
}

}  // namespace

CLI::App* add_snapshot(CLI::App& app, ControlArguments& words) {
    CLI::App* const snapshot =
        app.add_subcommand("snapshot", "Save a running guest to a directory");
    add_control(*snapshot, words, "The socket that fmvm run --control made (needed)");
    add_option(*snapshot, "--to", words.to, "DIR", "The directory to be made (needed)");
    snapshot->add_flag("--stop", words.stop, "End the guest, so that it can go on elsewhere");
    snapshot->footer(snapshot_footer);
    return snapshot;
}

CLI::App* add_switchover(CLI::App& app, ControlArguments& words) {
    CLI::App* const switchover =
        app.add_subcommand("switchover", "Move a protected guest to its backup on purpose");
    add_control(*switchover, words,
                "The socket that fmvm primary or fmvm backup --control made (needed)");
    switchover->footer(switchover_footer);
    return switchover;
}

CLI::App* add_verify(CLI::App& app, ControlArguments& words) {
    CLI::App* const verify =
        app.add_subcommand("verify", "Compare a protected guest with its backup, while it runs");
    add_control(*verify, words, "The socket that fmvm primary --control made (needed)");
    add_option(*verify, "--only", words.only, "memory|disks", "Leave the other out");
    add_option(*verify, "--rate", words.rate, "SIZE",
               "How much of the disks to read in a second, at most (default 64M)");
    verify->footer(verify_footer);
    return verify;
}

Result<SnapshotOptions> snapshot_options(const ControlArguments& words) {
    const std::string* const control = FMVM_TRY(single("--control", words.control));
    const std::string* const to = FMVM_TRY(single("--to", words.to));
    if (control == nullptr || to == nullptr || to->empty())
        return Error("--control PATH and --to DIR are needed; see fmvm snapshot --help");
    return SnapshotOptions{*control, *to, words.stop};
}

Result<SwitchoverOptions> switchover_options(const ControlArguments& words) {
    const std::string* const control = FMVM_TRY(single("--control", words.control));
    if (control == nullptr || control->empty())
        return Error("--control PATH is needed; see fmvm switchover --help");
    return SwitchoverOptions{*control};
}

Result<VerifyCommandOptions> verify_options(const ControlArguments& words) {
    VerifyCommandOptions options;
    const std::string* const control = FMVM_TRY(single("--control", words.control));
    if (control == nullptr || control->empty())
        return Error("--control PATH is needed; see fmvm verify --help");
    options.control = *control;
    if (const std::string* const only = FMVM_TRY(single("--only", words.only))) {
        if (*only != "memory" && *only != "disks")
            return make_error("--only: '{}' is not memory or disks", *only);
        options.compare.memory = *only == "memory";
        options.compare.disks = *only == "disks";
    }
    std::optional<std::uint64_t> rate;
    FMVM_TRY(apply(rate, "--rate", words.rate, parse_size));
    if (rate && *rate < mib) return Error("--rate: give 1M or more");
    if (rate && !options.compare.disks)
        return Error("--rate: is how fast disks are read; leave it out, or --only memory");
    options.compare.bytes_per_second = rate.value_or(options.compare.bytes_per_second);
    return options;
}

}  // namespace fmvm::cli
