// SPDX-License-Identifier: Apache-2.0
#include "cli/options/machine_table.h"

#include "cli/options/json_values.h"
#include "cli/options/net_values.h"
#include "cli/options/option_values.h"

namespace fmvm::cli {

namespace {

using node::MachineOptions;
using Part = MachineOption::Part;

template <auto Parse>
auto parsed(const JsonValue& value) -> decltype(Parse(std::string_view())) {
    return Parse(FMVM_TRY(string_of(value)));
}

template <auto Given, auto Read>
Result<void> read_into(GivenOptions& given, const JsonValue& value) {
    auto read = Read(value);
    if (!read.ok()) return located(value, read.error());
    given.*Given = std::move(read).value();
    return {};
}

template <auto Given>
bool is_given(const GivenOptions& given) {
    return (given.*Given).has_value();
}

template <auto Given>
void replace(GivenOptions& ours, GivenOptions& theirs) {
    ours.*Given = std::move(theirs.*Given);
}

template <auto Given, auto Finished>
void finish(GivenOptions& given, MachineOptions& options) {
    if (given.*Given) options.*Finished = std::move(*(given.*Given));
}

// An option whose words Parse reads, and whose JSON values Read.
template <auto Given, auto Finished, auto Parse, auto Read>
constexpr MachineOption value_option(OptionText shown, Part part, const char* key) {
    return {{shown, into<Parse, Given>},
            part,
            key,
            read_into<Given, Read>,
            is_given<Given>,
            replace<Given>,
            finish<Given, Finished>};
}

template <auto Given, auto Finished>
constexpr MachineOption text_option(OptionText shown, Part part, const char* key) {
    return value_option<Given, Finished, as_it_is, string_of>(shown, part, key);
}

// An option whose JSON value is the text that may stand on the command line.
template <auto Given, auto Finished, auto Parse>
constexpr MachineOption word_option(OptionText shown, Part part, const char* key) {
    return value_option<Given, Finished, Parse, parsed<Parse>>(shown, part, key);
}

Result<void> add_disk(GivenOptions& given, std::string_view word) {
    node::DiskOptions disk = FMVM_TRY(parse_disk(word));
    if (!given.disks) given.disks.emplace();
    given.disks->push_back(std::move(disk));
    return {};
}

Result<void> read_disks(GivenOptions& given, const JsonValue& value) {
    given.disks = FMVM_TRY(disks_of(value));
    return {};
}

Result<void> add_net(GivenOptions& given, std::string_view word) {
    node::NetOptions net = FMVM_TRY(parse_net(word));
    if (!given.nets) given.nets.emplace();
    given.nets->push_back(std::move(net));
    return {};
}

Result<void> read_nets(GivenOptions& given, const JsonValue& value) {
    given.nets = FMVM_TRY(nets_of(value));
    return {};
}

Result<void> say_more(GivenOptions& given, std::string_view) {
    given.verbosity = given.verbosity.value_or(0) + 1;
    return {};
}

// The file that --config names is read by whoever merges the two.
void finish_config(GivenOptions&, MachineOptions&) {}

using G = GivenOptions;
using M = MachineOptions;

constexpr MachineOption machine_rows[] = {
    text_option<&G::kernel, &M::kernel>(
        {"--kernel", "PATH", "ELF vmlinux or bzImage (needed, but for --restore)"}, Part::guest,
        "kernel"),
    text_option<&G::initrd, &M::initrd>({"--initrd", "PATH", "Initial RAM disk"}, Part::guest,
                                        "initrd"),
    text_option<&G::restore, &M::restore>(
        {"--restore", "DIR", "Go on with the guest of this snapshot, instead of a kernel"},
        Part::start, "restore"),
    word_option<&G::guest_time, &M::guest_time, parse_guest_time>(
        {"--guest-time", "saved|now",
         "The restored guest's clocks go on where they stood, or have gone on meanwhile (default "
         "{})",
         "saved"},
        Part::start, "guest-time"),
    text_option<&G::cmdline, &M::cmdline>({"--cmdline", "TEXT", "Kernel command line"}, Part::guest,
                                          "cmdline"),
    value_option<&G::memory_bytes, &M::memory_bytes, parse_size, size_of>(
        {"--memory", "SIZE", "Guest memory (default {})", "256M"}, Part::guest, "memory"),
    value_option<&G::cpus, &M::cpus, parse_count, count_of>(
        {"--cpus", "N", "Virtual CPUs (default {})", "1"}, Part::guest, "cpus"),
    word_option<&G::cpu, &M::cpu, parse_guest_cpu>(
        {"--cpu", "host|x86-64-vN[,-FEATURE...]",
         "The CPU features that the guest sees: this host's, or those of a level, without those "
         "named; take what both hosts have (default {})",
         "host"},
        Part::guest, "cpu"),
    {{{.flag = "--disk",
       .type = "path=PATH[,readonly][,direct][,serial=TEXT][,label=PATH][,format=raw]",
       .help = "A virtio disk: raw image file or block device; repeatable",
       .repeatable = true},
      add_disk},
     Part::device,
     "disks",
     read_disks,
     is_given<&G::disks>,
     replace<&G::disks>,
     finish<&G::disks, &M::disks>},
    {{{.flag = "--net",
       .type = "tap=NAME|socket=PATH|fd=N[,mac=ADDRESS][,mtu=BYTES][,bridge=NAME]",
       .help = "A virtio network card: on a TAP, which is made if it is not there (and added to a "
               "bridge), or on a Unix socket (passt); repeatable",
       .repeatable = true},
      add_net},
     Part::device,
     "nets",
     read_nets,
     is_given<&G::nets>,
     replace<&G::nets>,
     finish<&G::nets, &M::nets>},
    word_option<&G::console, &M::console, parse_console>(
        {"--console", "stdio|file:PATH|null", "Where the serial console goes (default {})",
         "stdio"},
        Part::device, "console"),
    text_option<&G::control, &M::control>(
        {"--control", "PATH", "Take commands on a Unix socket, made there"}, Part::device,
        "control"),
    {{{"-v,--verbose", "", "Say more on stderr; twice for debugging"}, say_more},
     Part::device,
     "verbose",
     read_into<&G::verbosity, count_of>,
     is_given<&G::verbosity>,
     replace<&G::verbosity>,
     finish<&G::verbosity, &M::verbosity>},
    {{{config_flag, "FILE", "Read options from a JSON file"}, into<as_it_is, &G::config>},
     Part::start,
     "",
     nullptr,
     is_given<&G::config>,
     replace<&G::config>,
     finish_config},
    word_option<&G::host_quirks, &M::host_quirks, parse_host_quirks>(
        {"--host-quirks", "auto|off",
         "Add the Linux parameters that this host's KVM needs (default {})", "auto"},
        Part::guest, "host-quirks"),
};

constexpr MachineOption disk_start_rows[] = {
    {{{"--record", "FILE", "Write what the guest does to its disks to a new file, for fmvm replay"},
      into<as_it_is, &G::record>},
     Part::start,
     "",
     nullptr,
     is_given<&G::record>,
     replace<&G::record>,
     finish<&G::record, &M::record>},
    {{{"--force-stale", "",
       "Use disks of a protected guest that may have gone on elsewhere; what it wrote there is "
       "given up"},
      turn_on<&G::force_stale>},
     Part::start,
     "",
     nullptr,
     is_given<&G::force_stale>,
     replace<&G::force_stale>,
     finish<&G::force_stale, &M::force_stale>},
};

}  // namespace

std::span<const MachineOption> machine_table() {
    return machine_rows;
}

std::span<const MachineOption> disk_start_table() {
    return disk_start_rows;
}

}  // namespace fmvm::cli
