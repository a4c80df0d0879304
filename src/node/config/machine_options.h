// SPDX-License-Identifier: Apache-2.0
// What `fmvm run` was asked to do: plain values, validated, wherever they came from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/units.h"
#include "node/config/net_options.h"
#include "vmm/cpu/cpu_model.h"

namespace fmvm::node {

struct DiskOptions {
    std::string path;
    bool readonly = false;
    bool direct = false;  // O_DIRECT: past the host's page cache
    std::string serial;   // the virtio-blk device ID; empty: none
    std::string label{};  // path of its label file; empty: beside the image
    bool raw = false;     // its user says so, whatever it looks like
    bool operator==(const DiskOptions&) const = default;
};

enum class ConsoleKind { stdio, file, null };

struct ConsoleOptions {
    ConsoleKind kind = ConsoleKind::stdio;
    std::string path;  // of kind file
    bool operator==(const ConsoleOptions&) const = default;
};

enum class HostQuirks { automatic, off };

// What the clocks of a guest that is restored from a snapshot say.
enum class GuestTime {
    saved,  // they go on where they stood
    now,    // they have gone on meanwhile, by this host's CLOCK_REALTIME
};

struct MachineOptions {
    std::string restore;  // a snapshot's directory; empty: none, and there is a kernel
    GuestTime guest_time = GuestTime::saved;
    std::string control;  // path of the control socket; empty: none
    std::string kernel;
    std::string initrd;  // empty: none
    std::string cmdline;
    std::uint64_t memory_bytes = 256 * mib;
    unsigned cpus = 1;
    CpuModel cpu{};
    std::vector<DiskOptions> disks;
    std::vector<NetOptions> nets;
    std::string record;        // a file for what is done to the disks; empty: none
    bool force_stale = false;  // use disks that may have gone on elsewhere
    ConsoleOptions console;
    HostQuirks host_quirks = HostQuirks::automatic;
    int verbosity = 0;
    bool operator==(const MachineOptions&) const = default;
};

}  // namespace fmvm::node
