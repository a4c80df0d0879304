// SPDX-License-Identifier: Apache-2.0
// The only user of CLI11 (it compiles slowly). CLI11 sorts words into options; what the words mean
// is decided by option_values and given_options, as for the configuration file.
#include "cli/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>

#include "base/log.h"
#include "cli/check_command.h"
#include "cli/config_file.h"
#include "cli/exit_status.h"
#include "cli/given_options.h"
#include "cli/host_facts.h"
#include "cli/option_values.h"
#include "cli/report_error.h"
#include "cli/run_command.h"
#include "cli/snapshot_command.h"
#include "cli/version.h"

namespace fmvm::cli {

namespace {

constexpr const char* main_footer = R"(
Examples:
  fmvm check
  fmvm run --kernel vmlinux --cmdline "console=ttyS0 root=/dev/vda" --disk path=disk.img
  fmvm run --kernel vmlinux --disk path=disk.img --control vm.sock
  fmvm snapshot --control vm.sock --to saved --stop
  fmvm run --restore saved --disk path=disk.img
  fmvm run --help)";

constexpr const char* run_footer = R"(
Sizes: 512M, 2G, 1TiB (K, M, G, T, with or without B or iB, powers of 1024); a bare number is MiB.

A configuration file holds the same keys as one JSON object; the command line wins, key by key:
  {"kernel": "vmlinux", "memory": "512M", "cpus": 1, "console": "stdio",
   "disks": [{"path": "disk.img", "readonly": false}, "path=data.img,direct"]}

--restore goes on with a guest that `fmvm snapshot --stop` left in a directory. Memory, CPUs and
kernel come from there; the disks must be the same, in the same order, as they were then.

At the console: Ctrl-A x stops the machine, Ctrl-A h prints help, Ctrl-A a sends Ctrl-A.
SIGTERM and SIGINT stop it as well.

Examples:
  fmvm run --kernel vmlinux --initrd initramfs.cpio --cmdline console=ttyS0
  fmvm run --kernel /boot/vmlinuz-6.1.0-cloud-amd64 --cmdline "console=ttyS0 root=/dev/vda1" \
           --memory 2G --cpus 2 --disk path=root.img --disk path=seed.iso,readonly,serial=seed
  fmvm run --config machine.json --memory 1G -v

Exit status:
  0  the guest powered off
  1  fmvm itself failed: this host, KVM, setting up I/O
  2  bad usage or bad input
  3  the guest asked for a reset
  4  the guest crashed (triple fault)
  5  KVM could not go on with the guest (unsupported instruction)
  6  stopped by the operator: SIGTERM, SIGINT, SIGHUP, Ctrl-A x)";

constexpr const char* snapshot_footer = R"(
The directory is made by the running fmvm: `state` (CPUs and devices) and `ram`. Disks are not in
it; with --stop they are as the guest left them, and fmvm run --restore goes on with both. Without
--stop the guest goes on, and changes them: copy them before, for example from a file system
snapshot.

Exit status: 0 when the snapshot is complete, 1 when there is none, 2 for bad usage.)";

// The words behind each option, as often as they stood.
struct RunWords {
    std::vector<std::string> restore, control, kernel, initrd, cmdline, memory, cpus, disk, console,
        config, quirks;
    int verbosity = 0;
};

CLI::App* add_run(CLI::App& app, RunWords& words) {
    CLI::App* const run = app.add_subcommand("run", "Run a virtual machine in the foreground");
    const auto add = [run](const char* name, std::vector<std::string>& target, const char* type,
                           const char* help) {
        CLI::Option* const option = run->add_option(name, target, help);
        option->type_name(type)->expected(1)->take_all()->allow_extra_args(false);
    };
    add("--kernel", words.kernel, "PATH", "ELF vmlinux or bzImage (needed, but for --restore)");
    add("--initrd", words.initrd, "PATH", "Initial RAM disk");
    add("--cmdline", words.cmdline, "TEXT", "Kernel command line");
    add("--memory", words.memory, "SIZE", "Guest memory (default 256M)");
    add("--cpus", words.cpus, "N", "Virtual CPUs (default 1)");
    add("--disk", words.disk, "path=PATH[,readonly][,direct][,serial=TEXT]",
        "A virtio disk: raw image file or block device; repeatable");
    add("--console", words.console, "stdio|file:PATH|null",
        "Where the serial console goes (default stdio)");
    add("--restore", words.restore, "DIR", "Go on with the guest of this snapshot");
    add("--control", words.control, "PATH", "Take commands on a Unix socket, made there");
    add("--config", words.config, "FILE", "Read options from a JSON file");
    add("--host-quirks", words.quirks, "auto|off",
        "Add the Linux parameters that this host's KVM needs (default auto)");
    run->add_flag("-v,--verbose", words.verbosity, "Say more on stderr; twice for debugging");
    run->allow_extras();
    run->footer(run_footer);
    return run;
}

struct SnapshotWords {
    std::vector<std::string> control, to;
    bool stop = false;
};

CLI::App* add_snapshot(CLI::App& app, SnapshotWords& words) {
    CLI::App* const snapshot =
        app.add_subcommand("snapshot", "Save a running guest to a directory");
    const auto add = [snapshot](const char* name, std::vector<std::string>& target,
                                const char* type, const char* help) {
        CLI::Option* const option = snapshot->add_option(name, target, help);
        option->type_name(type)->expected(1)->take_all()->allow_extra_args(false);
    };
    add("--control", words.control, "PATH", "The socket that fmvm run --control made (needed)");
    add("--to", words.to, "DIR", "The directory to be made (needed)");
    snapshot->add_flag("--stop", words.stop, "End the guest, so that it can go on elsewhere");
    snapshot->allow_extras();
    snapshot->footer(snapshot_footer);
    return snapshot;
}

// The one word of an option that may stand once.
Result<const std::string*> single(const char* option, const std::vector<std::string>& words) {
    if (words.size() > 1) {
        return make_error("{} is given {} times; give it once", option, words.size());
    }
    return words.empty() ? nullptr : &words.front();
}

template <typename T>
Result<void> apply(std::optional<T>& target, const char* option,
                   const std::vector<std::string>& words, Result<T> (*parse)(std::string_view)) {
    const std::string* const word = FMVM_TRY(single(option, words));
    if (!word) return {};
    Result<T> value = parse(*word);
    if (!value.ok()) return make_error("{}: {}", option, value.error().message());
    target = std::move(value).value();
    return {};
}

Result<std::string> as_it_is(std::string_view text) {
    return std::string(text);
}

Result<GivenOptions> options_of(const RunWords& words) {
    GivenOptions given;
    FMVM_TRY(apply(given.restore, "--restore", words.restore, as_it_is));
    FMVM_TRY(apply(given.control, "--control", words.control, as_it_is));
    FMVM_TRY(apply(given.kernel, "--kernel", words.kernel, as_it_is));
    FMVM_TRY(apply(given.initrd, "--initrd", words.initrd, as_it_is));
    FMVM_TRY(apply(given.cmdline, "--cmdline", words.cmdline, as_it_is));
    FMVM_TRY(apply(given.memory_bytes, "--memory", words.memory, parse_size));
    FMVM_TRY(apply(given.cpus, "--cpus", words.cpus, parse_count));
    FMVM_TRY(apply(given.console, "--console", words.console, parse_console));
    FMVM_TRY(apply(given.host_quirks, "--host-quirks", words.quirks, parse_host_quirks));
    for (const std::string& word : words.disk) {
        Result<DiskOptions> disk = parse_disk(word);
        if (!disk.ok()) return make_error("--disk: {}", disk.error().message());
        if (!given.disks) given.disks.emplace();
        given.disks->push_back(std::move(disk).value());
    }
    if (words.verbosity > 0) given.verbosity = words.verbosity;
    return given;
}

Result<RunOptions> run_options(const RunWords& words) {
    GivenOptions given = FMVM_TRY(options_of(words));
    const std::string* const config = FMVM_TRY(single("--config", words.config));
    if (config) given = merge(std::move(given), FMVM_TRY(read_config_file(*config)));
    return complete(std::move(given), FMVM_TRY(host_memory_bytes()));
}

Result<SnapshotOptions> snapshot_options(const SnapshotWords& words) {
    const std::string* const control = FMVM_TRY(single("--control", words.control));
    const std::string* const to = FMVM_TRY(single("--to", words.to));
    if (control == nullptr || to == nullptr || to->empty())
        return Error("--control PATH and --to DIR are needed; see fmvm snapshot --help");
    return SnapshotOptions{*control, *to, words.stop};
}

// One line, whatever the message holds (a path may hold a newline, or worse).
int usage_error(std::string message) {
    return report_error(std::move(message), ExitStatus::usage);
}

// CLI11's own finding; help and version come as "errors" with status 0.
int parse_ended(const CLI::App& app, const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    const std::string_view what = error.what();
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&error)) {
        return usage_error(
            fmt::format("{} needs a value; see fmvm run --help", what.substr(0, what.find(':'))));
    }
    return usage_error(fmt::format("{}; see fmvm --help or fmvm run --help", what));
}

int dispatch(int argc, char** argv) {
    CLI::App app("fmvm runs virtual machines on /dev/kvm.", "fmvm");
    app.set_version_flag("--version", fmt::format("fmvm {}", version));
    app.footer(main_footer);
    app.allow_extras();
    app.require_subcommand(0, 1);
    RunWords words;
    CLI::App* const run = add_run(app, words);
    SnapshotWords snapshot_words;
    CLI::App* const snapshot = add_snapshot(app, snapshot_words);
    bool as_json = false;
    CLI::App* const check = app.add_subcommand("check", "Report what this host can do for fmvm");
    check->add_flag("--json", as_json, "Report as JSON");
    check->allow_extras();
    check->footer("Exit status: 0 when fmvm can run machines here, 1 when it cannot.");

    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return parse_ended(app, error);
    }
    const std::vector<std::string> unknown = app.remaining(true);
    if (!unknown.empty()) {
        const char* const help = run->parsed()        ? "fmvm run --help"
                                 : snapshot->parsed() ? "fmvm snapshot --help"
                                                      : "fmvm --help";
        return usage_error(fmt::format("'{}' is not known here; see {}", unknown.front(), help));
    }
    if (check->parsed()) return check_command(as_json);
    if (snapshot->parsed()) {
        const Result<SnapshotOptions> options = snapshot_options(snapshot_words);
        if (!options.ok()) return usage_error(options.error().message());
        return snapshot_command(options.value());
    }
    if (!run->parsed()) return usage_error("no command is given; see fmvm --help");

    const Result<RunOptions> options = run_options(words);
    if (!options.ok()) return usage_error(options.error().message());
    log::set_level(log::level_for_verbosity(options.value().verbosity));
    return run_command(options.value());
}

}  // namespace

int run(int argc, char** argv) {
    try {
        return dispatch(argc, argv);
    } catch (const std::exception& error) {
        // Nothing of ours throws: this is memory running out or a library giving up.
        fmt::print(stderr, "fmvm: {}\n", error.what());
        return to_int(ExitStatus::failure);
    }
}

}  // namespace fmvm::cli
