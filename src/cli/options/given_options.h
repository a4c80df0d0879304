// SPDX-License-Identifier: Apache-2.0
// The options of a machine that one source (command line or configuration file) gave, and how the
// two sources become MachineOptions. The table of these options is in machine_table.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "node/config/machine_options.h"

namespace fmvm::cli {

struct GivenOptions {
    std::optional<std::string> restore;
    std::optional<node::GuestTime> guest_time;
    std::optional<std::string> control;
    std::optional<std::string> kernel;
    std::optional<std::string> initrd;
    std::optional<std::string> cmdline;
    std::optional<std::uint64_t> memory_bytes;
    std::optional<unsigned> cpus;
    std::optional<CpuModel> cpu;
    std::optional<std::vector<node::DiskOptions>> disks;
    std::optional<std::vector<node::NetOptions>> nets;
    std::optional<node::ConsoleOptions> console;
    std::optional<node::HostQuirks> host_quirks;
    std::optional<int> verbosity;
    // Only on the command line:
    std::optional<std::string> config;  // path of the configuration file
    std::optional<std::string> record;
    std::optional<bool> force_stale;
};

// The command line wins, key by key; its disks replace the file's disks, all of them,
// and so do its network cards.
GivenOptions merge(GivenOptions command_line, GivenOptions file);

// Fills in the defaults and checks every value and what they mean together. `host_memory_bytes`:
// what the host has. Whether kernel, initrd and disks are any good shows when they are opened.
Result<node::MachineOptions> complete(GivenOptions given, std::uint64_t host_memory_bytes);

// The same for a machine whose memory, CPUs and content come from elsewhere: disks and console.
Result<node::MachineOptions> complete_devices(GivenOptions given);

}  // namespace fmvm::cli
