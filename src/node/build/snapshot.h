// SPDX-License-Identifier: Apache-2.0
// A stopped guest in a directory: `state` (an encoded StateImage; its section "ram" holds size and
// digest of guest memory) and `ram` (vmm/memory/ram_file.h). Disks are not part of it.
#pragma once

#include <chrono>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "vmm/machine/machine.h"

namespace fmvm::node {

enum class AfterSnapshot { go_on, stop };

// Stops the machine, writes it to a directory beside `directory` that is renamed into place when it
// is complete, and lets it go on or, with AfterSnapshot::stop, ends it; after an error it goes on
// in any case. `directory` must not exist. Controlling thread.
Result<void> take_snapshot(Machine& machine, const std::string& directory, AfterSnapshot after);

struct Snapshot {
    std::string directory;
    StateImage state;  // for Machine::restore
    MachineSize size;
    UniqueFd ram;
    std::uint64_t ram_digest = 0;
};
// All but the RAM's content is checked as far as that needs no machine. Errors name the directory.
Result<Snapshot> open_snapshot(const std::string& directory);
// How long ago it was taken, by this host's CLOCK_REALTIME.
Result<std::chrono::nanoseconds> snapshot_age(const Snapshot& snapshot);
// Puts RAM and state into a machine that was built with that size and has never started. passed: as
// for Machine::restore.
Result<void> restore_snapshot(const Snapshot& snapshot, Machine& machine,
                              std::chrono::nanoseconds passed);

}  // namespace fmvm::node
