// SPDX-License-Identifier: Apache-2.0
// What a primary is told before it starts: plain values, validated by the caller.
#pragma once

#include <chrono>

#include "lockstep/arbiter/generation.h"
#include "lockstep/primary/epoch_policy.h"
#include "lockstep/wire/messages.h"
#include "vmm/machine/machine_shape.h"

namespace fmvm::lockstep {

enum class OnBackupLost { continue_alone, stop };

struct PrimaryOptions {
    VmId vm{};
    Generation generation = 0;  // won before the guest started
    MachineShape shape;
    BlockMode block = BlockMode::none;
    std::vector<replay::LabelId> origins;  // of each disk, where each side has its own
    bool durable = false;  // the backup acknowledges an epoch when its disks hold it for good
    std::chrono::milliseconds heartbeat{20};
    std::chrono::milliseconds lost_after{200};
    std::chrono::milliseconds permit{50};  // P of docs/life.md
    EpochPolicyOptions policy;
    // An arbiter knows who took over; without one (--arbiter none) a backup's word has to do.
    bool has_arbiter = true;
    OnBackupLost on_backup_lost = OnBackupLost::continue_alone;
};

// What this primary says to a peer at first.
HelloMessage hello_of(const PrimaryOptions& options, Generation generation);
// How long a comparison of both sides may make no progress.
std::chrono::microseconds verify_patience(const PrimaryOptions& options);

}  // namespace fmvm::lockstep
