// SPDX-License-Identifier: Apache-2.0
#include "cli/options/run_arguments.h"

#include "cli/options/config_file.h"
#include "cli/options/option_values.h"
#include "node/build/host_facts.h"

namespace fmvm::cli {

namespace {

Result<std::string> as_it_is(std::string_view text) {
    return std::string(text);
}

Result<GivenOptions> options_of(const RunArguments& words) {
    GivenOptions given;
    FMVM_TRY(apply(given.restore, "--restore", words.restore, as_it_is));
    FMVM_TRY(apply(given.guest_time, "--guest-time", words.guest_time, parse_guest_time));
    FMVM_TRY(apply(given.control, "--control", words.control, as_it_is));
    FMVM_TRY(apply(given.kernel, "--kernel", words.kernel, as_it_is));
    FMVM_TRY(apply(given.initrd, "--initrd", words.initrd, as_it_is));
    FMVM_TRY(apply(given.cmdline, "--cmdline", words.cmdline, as_it_is));
    FMVM_TRY(apply(given.memory_bytes, "--memory", words.memory, parse_size));
    FMVM_TRY(apply(given.cpus, "--cpus", words.cpus, parse_count));
    FMVM_TRY(apply(given.cpu, "--cpu", words.cpu, parse_guest_cpu));
    FMVM_TRY(apply(given.console, "--console", words.console, parse_console));
    FMVM_TRY(apply(given.host_quirks, "--host-quirks", words.quirks, parse_host_quirks));
    for (const std::string& word : words.disk) {
        Result<node::DiskOptions> disk = parse_disk(word);
        if (!disk.ok()) return make_error("--disk: {}", disk.error().message());
        if (!given.disks) given.disks.emplace();
        given.disks->push_back(std::move(disk).value());
    }
    if (words.verbosity > 0) given.verbosity = words.verbosity;
    return given;
}

}  // namespace

void add_option(CLI::App& app, const char* name, std::vector<std::string>& target, const char* type,
                const char* help) {
    CLI::Option* const option = app.add_option(name, target, help);
    option->type_name(type)->expected(1)->take_all()->allow_extra_args(false);
}

void add_device_options(CLI::App& app, RunArguments& words) {
    add_option(app, "--disk", words.disk,
               "path=PATH[,readonly][,direct][,serial=TEXT][,label=PATH]",
               "A virtio disk: raw image file or block device; repeatable");
    add_option(app, "--console", words.console, "stdio|file:PATH|null",
               "Where the serial console goes (default stdio)");
    add_option(app, "--control", words.control, "PATH",
               "Take commands on a Unix socket, made there");
    app.add_flag("-v,--verbose", words.verbosity, "Say more on stderr; twice for debugging");
}

void add_machine_options(CLI::App& app, RunArguments& words) {
    add_option(app, "--kernel", words.kernel, "PATH",
               "ELF vmlinux or bzImage (needed, but for --restore)");
    add_option(app, "--initrd", words.initrd, "PATH", "Initial RAM disk");
    add_option(app, "--restore", words.restore, "DIR",
               "Go on with the guest of this snapshot, instead of a kernel");
    add_option(app, "--guest-time", words.guest_time, "saved|now",
               "The restored guest's clocks go on where they stood, or have gone on meanwhile "
               "(default saved)");
    add_option(app, "--cmdline", words.cmdline, "TEXT", "Kernel command line");
    add_option(app, "--memory", words.memory, "SIZE", "Guest memory (default 256M)");
    add_option(app, "--cpus", words.cpus, "N", "Virtual CPUs (default 1)");
    add_option(app, "--cpu", words.cpu, "host|x86-64-vN[,-FEATURE...]",
               "The CPU features that the guest sees: this host's, or those of a level, without "
               "those named; take what both hosts have (default host)");
    add_device_options(app, words);
    add_option(app, "--config", words.config, "FILE", "Read options from a JSON file");
    add_option(app, "--host-quirks", words.quirks, "auto|off",
               "Add the Linux parameters that this host's KVM needs (default auto)");
}

void add_start_options(CLI::App& app, RunArguments& words) {
    add_option(app, "--record", words.record, "FILE",
               "Write what the guest does to its disks to a new file, for fmvm replay");
    app.add_flag("--force-stale", words.force_stale,
                 "Use disks of a protected guest that may have gone on elsewhere");
}

Result<const std::string*> single(const char* option, const std::vector<std::string>& words) {
    if (words.size() > 1) {
        return make_error("{} is given {} times; give it once", option, words.size());
    }
    return words.empty() ? nullptr : &words.front();
}

Result<node::MachineOptions> machine_options(const RunArguments& words) {
    GivenOptions given = FMVM_TRY(options_of(words));
    const std::string* const config = FMVM_TRY(single("--config", words.config));
    if (config) given = merge(std::move(given), FMVM_TRY(read_config_file(*config)));
    const std::uint64_t host_memory = FMVM_TRY(node::host_memory_bytes());
    node::MachineOptions options = FMVM_TRY(complete(std::move(given), host_memory));
    options.force_stale = words.force_stale;
    const std::string* const record = FMVM_TRY(single("--record", words.record));
    if (record == nullptr) return options;
    if (record->empty()) return Error("--record: names no file; give a path");
    if (options.disks.empty())
        return Error("--record: the guest has no disk; add --disk path=PATH, or leave it out");
    options.record = *record;
    return options;
}

Result<node::MachineOptions> device_options(const RunArguments& words) {
    return complete_devices(FMVM_TRY(options_of(words)));
}

}  // namespace fmvm::cli
