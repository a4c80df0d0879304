// SPDX-License-Identifier: Apache-2.0
#include "cli/options/control_arguments.h"

#include "base/units.h"
#include "cli/options/option_values.h"
#include "cli/options/protection_values.h"

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
when the other runs it. It prints for how long the guest stood. Both sides are asked first whether
they could claim the guest. Until the backup is told to take over, the end of the command, or its
limit, leaves the guest where it is.

Exit status: 0 when the guest runs on the other side, 1 when it does not, 2 for bad usage.)";

constexpr const char* verify_footer = R"(
All of the guest's memory is compared as it is at one instant: the guest stands while it is digested,
0.15 s and more for each GiB. Disks of which each side has its own are compared beside the running guest.
A backup that differs does not take over any more, is made equal again, and protects the guest then.

Exit status: 0 when both are equal, 9 when they are not, 1 when that could not be found out, 2 for bad
usage.)";

Result<void> take_only(VerifyCommandOptions& options, std::string_view word) {
    if (word != "memory" && word != "disks") return make_error("'{}' is not memory or disks", word);
    options.compare.memory = word == "memory";
    options.compare.disks = word == "disks";
    return {};
}

Result<std::uint64_t> parse_rate(std::string_view text) {
    const std::uint64_t rate = FMVM_TRY(parse_size(text));
    if (rate < mib) return Error("give 1M or more");
    return rate;
}

constexpr Option<SnapshotOptions> snapshot_table[] = {
    {{"--control", "PATH", "The socket that fmvm run --control made (needed)"},
     into<as_it_is, &SnapshotOptions::control>},
    {{"--to", "DIR", "The directory to be made (needed)"}, into<as_it_is, &SnapshotOptions::to>},
    {{"--stop", "", "End the guest, so that it can go on elsewhere"},
     turn_on<&SnapshotOptions::stop>},
};

constexpr Option<SwitchoverOptions> switchover_table[] = {
    {{"--control", "PATH", "The socket that fmvm primary or fmvm backup --control made (needed)"},
     into<as_it_is, &SwitchoverOptions::control>},
    {{"--limit", "TIME", "Give up after so long (default {})", "30s"},
     into<parse_milliseconds, &SwitchoverOptions::limit>},
};

constexpr Option<VerifyCommandOptions> verify_table[] = {
    {{"--control", "PATH", "The socket that fmvm primary --control made (needed)"},
     into<as_it_is, &VerifyCommandOptions::control>},
    {{"--only", "memory|disks", "Leave the other out"}, take_only},
    {{"--rate", "SIZE", "How much of the disks to read in a second, at most (default {})", "64M"},
     into<parse_rate, &VerifyCommandOptions::compare, &lockstep::VerifyOptions::bytes_per_second>},
};

template <typename Options, std::size_t count>
Command line(const char* name, const char* help, const char* footer,
             const Option<Options> (&table)[count], int (*run)(const Arguments&)) {
    Command command{name, help, footer, {}, run};
    list(command.options, table);
    return command;
}

}  // namespace

Command snapshot_line() {
    return line("snapshot", "Save a running guest to a directory", snapshot_footer, snapshot_table,
                [](const Arguments& a) { return obey(snapshot_options(a), snapshot_command); });
}

Command switchover_line() {
    return line("switchover", "Move a protected guest to its backup on purpose", switchover_footer,
                switchover_table,
                [](const Arguments& a) { return obey(switchover_options(a), switchover_command); });
}

Command verify_line() {
    return line("verify", "Compare a protected guest with its backup, while it runs", verify_footer,
                verify_table,
                [](const Arguments& a) { return obey(verify_options(a), verify_command); });
}

Result<SnapshotOptions> snapshot_options(const Arguments& arguments) {
    SnapshotOptions options;
    FMVM_TRY(take_all(options, arguments, snapshot_table));
    if (!arguments.has("--control") || options.to.empty())
        return Error("--control PATH and --to DIR are needed; see fmvm snapshot --help");
    return options;
}

Result<SwitchoverOptions> switchover_options(const Arguments& arguments) {
    SwitchoverOptions options;
    FMVM_TRY(take_all(options, arguments, switchover_table));
    if (options.control.empty())
        return Error("--control PATH is needed; see fmvm switchover --help");
    return options;
}

Result<VerifyCommandOptions> verify_options(const Arguments& arguments) {
    VerifyCommandOptions options;
    FMVM_TRY(take_all(options, arguments, verify_table));
    if (options.control.empty()) return Error("--control PATH is needed; see fmvm verify --help");
    if (arguments.has("--rate") && !options.compare.disks)
        return Error("--rate: is how fast disks are read; leave it out, or --only memory");
    return options;
}

}  // namespace fmvm::cli
