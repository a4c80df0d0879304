// SPDX-License-Identifier: Apache-2.0
// What `fmvm primary` and `fmvm backup` were asked to do beyond running a machine: plain values,
// validated.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "lockstep/channel/endpoint.h"
#include "lockstep/checkpoint/checkpointer.h"
#include "lockstep/primary/primary_options.h"
#include "node/config/machine_options.h"

namespace fmvm::node {

struct ArbiterOptions {
    bool none = false;  // asked for by name
    std::string path;   // file:PATH
};

// How a guest is kept in step with a backup: by a primary from its start, by a backup once the
// guest runs there.
struct ReplicationOptions {
    std::chrono::milliseconds heartbeat{20};
    std::chrono::milliseconds lost_after{200};
    std::chrono::milliseconds permit{50};  // P of docs/life.md
    lockstep::EpochPolicyOptions policy;
    lockstep::OnBackupLost on_backup_lost = lockstep::OnBackupLost::continue_alone;
    lockstep::CheckpointerOptions checkpointer;
    DirtyLogKind dirty_log = DirtyLogKind::bitmap;
    bool durable = false;    // acknowledged when the backup's disks hold an epoch for good
    bool rx_forward = true;  // the backup gets at once what network cards take from outside
    std::string trace;       // a file for one JSON line per epoch; empty: none
    // Of the keys by which the two sides know each other; empty: they talk in the clear.
    std::string key_file;
    bool operator==(const ReplicationOptions&) const = default;
};

struct PrimaryCommandOptions {
    MachineOptions machine;
    lockstep::Endpoint backup;
    ArbiterOptions arbiter;
    lockstep::BlockMode block = lockstep::BlockMode::none;
    bool restart = false;  // begin anew although the last run did not end in an orderly way
    ReplicationOptions replication;
};

struct BackupCommandOptions {
    MachineOptions machine;  // disks, console and verbosity; the rest is the primary's to say
    lockstep::Endpoint listen;
    std::string directory;
    ArbiterOptions arbiter;
    lockstep::BlockMode block = lockstep::BlockMode::none;
    // What a primary may ask of this side.
    std::optional<std::uint64_t> memory_max;  // bytes; none: what the host has
    std::chrono::milliseconds lost_after_max{60'000};
    // In a silence, how much longer than the primary this side waits before it claims.
    std::chrono::milliseconds claim_delay{100};
    bool new_disks = false;      // overwrite disks without a label, whatever is on them
    bool discard_disks = false;  // overwrite disks whose label says that they may be needed
    // Who protects the guest once it runs here; none: nobody.
    std::optional<lockstep::Endpoint> next_backup;
    ReplicationOptions replication;
};

}  // namespace fmvm::node
