// SPDX-License-Identifier: Apache-2.0
// A stopped guest in a directory: `state` (an encoded StateImage; its section "ram" holds size and
// digest of guest memory, "disks" what the disks are like) and `ram` (vmm/memory/ram_file.h). What
// is on the disks is not part of it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "devices/block/block_device.h"
#include "node/build/disk_state.h"
#include "vmm/machine/machine.h"

namespace fmvm::node {

enum class AfterSnapshot { go_on, stop };

// A guest's disks: as they were given, their images, and the devices that the guest sees. Each in
// the order of --disk; all outlive whoever has this.
struct GuestDisks {
    const std::vector<DiskOptions>& options;
    const std::vector<const DiskImage*>& images;
    const std::vector<const BlockDevice*>& devices;
};

// Stops the machine, writes it to a directory beside `directory` that is renamed into place when it
// is complete, and lets it go on or, with AfterSnapshot::stop, ends it; after an error it goes on
// in any case. `directory` must not exist. The labels of the disks are changed (disk_state.h).
// Controlling thread.
Result<void> take_snapshot(Machine& machine, const GuestDisks& disks, const std::string& directory,
                           AfterSnapshot after);

struct Snapshot {
    std::string directory;
    StateImage state;  // for Machine::restore
    MachineSize size;
    UniqueFd ram;
    std::uint64_t ram_digest = 0;
    // Nothing: an older fmvm took it, and did not look at the disks.
    std::optional<std::vector<DiskState>> disks;
};
// All but the RAM's content is checked as far as that needs no machine. Errors name the directory.
Result<Snapshot> open_snapshot(const std::string& directory);
// How long ago it was taken, by this host's CLOCK_REALTIME.
Result<std::chrono::nanoseconds> snapshot_age(const Snapshot& snapshot);
// Whether these are the snapshot's disks, as they were then. A machine with other disks is refused
// by restore_snapshot().
Result<void> check_disks(const Snapshot& snapshot, const std::vector<DiskOptions>& disks,
                         const std::vector<const DiskImage*>& images);
// Puts RAM and state into a machine that was built with that size and has never started. passed: as
// for Machine::restore.
Result<void> restore_snapshot(const Snapshot& snapshot, Machine& machine,
                              std::chrono::nanoseconds passed);

}  // namespace fmvm::node
