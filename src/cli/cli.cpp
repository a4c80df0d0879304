// SPDX-License-Identifier: Apache-2.0
// The only user of CLI11 (it compiles slowly). CLI11 sorts words into options; what the words mean
// is decided by option_values and given_options, as for the configuration file.
#include "cli/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>

#include "base/log.h"
#include "cli/commands/backup_command.h"
#include "cli/commands/check_command.h"
#include "cli/commands/primary_command.h"
#include "cli/commands/run_command.h"
#include "cli/options/control_arguments.h"
#include "cli/options/import_arguments.h"
#include "cli/options/protection_arguments.h"
#include "cli/options/replay_arguments.h"
#include "cli/options/run_arguments.h"
#include "cli/report/exit_status.h"
#include "cli/report/report_error.h"
#include "cli/version.h"

namespace fmvm::cli {

namespace {

constexpr const char* main_footer = R"(
Examples:
  fmvm check
  fmvm run --kernel vmlinux --cmdline "console=ttyS0 root=/dev/vda" --disk path=disk.img
  fmvm run --kernel vmlinux --disk path=disk.img --control vm.sock
  fmvm import debian-12-generic-amd64.qcow2 --to vm1 > vm1.json
  fmvm run --config vm1.json
  fmvm snapshot --control vm.sock --to saved --stop
  fmvm run --restore saved --disk path=disk.img
  fmvm backup --listen 127.0.0.1:7000 --dir b --arbiter file:/shared/vm1
  fmvm primary --backup 127.0.0.1:7000 --arbiter file:/shared/vm1 --kernel vmlinux
  fmvm run --help, fmvm primary --help, ...)";

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

CLI::App* add_run(CLI::App& app, RunArguments& words) {
    CLI::App* const run = app.add_subcommand("run", "Run a virtual machine in the foreground");
    add_machine_options(*run, words);
    add_start_options(*run, words);
    run->allow_extras();
    run->footer(run_footer);
    return run;
}

// One line, whatever the message holds (a path may hold a newline, or worse).
int usage_error(std::string message) {
    return report_error(std::move(message), ExitStatus::usage);
}

// CLI11's own finding; help and version come as "errors" with status 0.
int parse_ended(const CLI::App& app, const std::string& name, const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    const std::string_view what = error.what();
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&error)) {
        return usage_error(
            fmt::format("{} needs a value; see {} --help", what.substr(0, what.find(':')), name));
    }
    return usage_error(fmt::format("{}; see {} --help", what, name));
}

// Every command with its words.
struct CommandLine {
    CLI::App app{"fmvm runs virtual machines on /dev/kvm and keeps them alive.", "fmvm"};
    RunArguments run_words;
    ProtectionArguments primary_words, backup_words;
    ControlArguments snapshot_words, switchover_words, verify_words;
    ReplayArguments replay_words;
    ImportArguments import_words;
    bool as_json = false;
    CLI::App* run = nullptr;
    CLI::App* primary = nullptr;
    CLI::App* backup = nullptr;
    CLI::App* snapshot = nullptr;
    CLI::App* switchover = nullptr;
    CLI::App* verify = nullptr;
    CLI::App* replay = nullptr;
    CLI::App* import = nullptr;
    CLI::App* check = nullptr;

    CommandLine() {
        app.set_version_flag("--version", fmt::format("fmvm {}", version));
        app.footer(main_footer);
        app.allow_extras();
        app.require_subcommand(0, 1);
        run = add_run(app, run_words);
        primary = add_primary(app, primary_words);
        backup = add_backup(app, backup_words);
        switchover = add_switchover(app, switchover_words);
        verify = add_verify(app, verify_words);
        snapshot = add_snapshot(app, snapshot_words);
        replay = add_replay(app, replay_words);
        import = add_import(app, import_words);
        check = app.add_subcommand("check", "Report what this host can do for fmvm");
        check->add_flag("--json", as_json, "Report as JSON");
        check->allow_extras();
        check->footer("Exit status: 0 when fmvm can run machines here, 1 when it cannot.");
    }

    // "fmvm run", or "fmvm" while no command is known.
    std::string name() const {
        const auto parsed = app.get_subcommands();
        return parsed.empty() ? "fmvm" : "fmvm " + parsed.front()->get_name();
    }
};

template <typename Options>
int start(const Result<Options>& options, const node::MachineOptions& (*machine)(const Options&),
          int (*command)(const Options&)) {
    if (!options.ok()) return usage_error(options.error().message());
    log::set_level(log::level_for_verbosity(machine(options.value()).verbosity));
    return command(options.value());
}

template <typename Options>
int obey(const Result<Options>& options, int (*command)(const Options&)) {
    return options.ok() ? command(options.value()) : usage_error(options.error().message());
}

int dispatch(int argc, char** argv) {
    CommandLine line;
    try {
        line.app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return parse_ended(line.app, line.name(), error);
    }
    const std::vector<std::string> unknown = line.app.remaining(true);
    if (!unknown.empty()) {
        return usage_error(
            fmt::format("'{}' is not known here; see {} --help", unknown.front(), line.name()));
    }
    if (line.check->parsed()) return check_command(line.as_json);
    if (line.run->parsed()) {
        return start<node::MachineOptions>(
            machine_options(line.run_words),
            [](const node::MachineOptions& options) -> const node::MachineOptions& {
                return options;
            },
            run_command);
    }
    if (line.primary->parsed()) {
        return start<node::PrimaryCommandOptions>(
            primary_options(line.primary_words),
            [](const node::PrimaryCommandOptions& o) -> const node::MachineOptions& {
                return o.machine;
            },
            primary_command);
    }
    if (line.backup->parsed()) {
        return start<node::BackupCommandOptions>(
            backup_options(line.backup_words),
            [](const node::BackupCommandOptions& o) -> const node::MachineOptions& {
                return o.machine;
            },
            backup_command);
    }
    if (line.snapshot->parsed())
        return obey(snapshot_options(line.snapshot_words), snapshot_command);
    if (line.switchover->parsed())
        return obey(switchover_options(line.switchover_words), switchover_command);
    if (line.verify->parsed()) return obey(verify_options(line.verify_words), verify_command);
    if (line.import->parsed()) return obey(import_options(line.import_words), import_command);
    if (line.replay->parsed()) return obey(replay_options(line.replay_words), replay_command);
    return usage_error("no command is given; see fmvm --help");
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
