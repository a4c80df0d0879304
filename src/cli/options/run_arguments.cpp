// SPDX-License-Identifier: Apache-2.0
#include "cli/options/run_arguments.h"

#include "base/log.h"
#include "cli/commands/run_command.h"
#include "cli/options/config_file.h"
#include "cli/options/machine_table.h"
#include "node/build/host_facts.h"

namespace fmvm::cli {

namespace {

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

Result<GivenOptions> given_options(const Arguments& arguments) {
    GivenOptions given;
    for (const auto table : {machine_table(), disk_start_table()}) {
        for (const MachineOption& option : table)
            FMVM_TRY(take(given, arguments, option.option));
    }
    return given;
}

int run(const Arguments& arguments) {
    const Result<node::MachineOptions> options = machine_options(arguments);
    if (options.ok()) set_verbosity(options.value());
    return obey(options, run_command);
}

}  // namespace

void list_machine_options(std::vector<OptionText>& texts) {
    for (const MachineOption& option : machine_table())
        texts.push_back(option.option.text);
}

void list_device_options(std::vector<OptionText>& texts) {
    for (const MachineOption& option : machine_table()) {
        if (option.part == MachineOption::Part::device) texts.push_back(option.option.text);
    }
}

void list_disk_start_options(std::vector<OptionText>& texts) {
    for (const MachineOption& option : disk_start_table())
        texts.push_back(option.option.text);
}

Command run_line() {
    Command line{"run", "Run a virtual machine in the foreground", run_footer, {}, run};
    list_machine_options(line.options);
    list_disk_start_options(line.options);
    return line;
}

Result<node::MachineOptions> machine_options(const Arguments& arguments) {
    GivenOptions given = FMVM_TRY(given_options(arguments));
    if (given.config) given = merge(given, FMVM_TRY(read_config_file(*given.config)));
    return complete(std::move(given), FMVM_TRY(node::host_memory_bytes()));
}

Result<node::MachineOptions> device_options(const Arguments& arguments) {
    return complete_devices(FMVM_TRY(given_options(arguments)));
}

void set_verbosity(const node::MachineOptions& options) {
    log::set_level(log::level_for_verbosity(options.verbosity));
}

}  // namespace fmvm::cli
