// SPDX-License-Identifier: Apache-2.0
// How a protected guest begins: its identity, its arbiter, its machine, a generation of its own,
// and disks that no other side may be running it on.
#pragma once

#include <atomic>
#include <memory>

#include "lockstep/arbiter/arbiter.h"
#include "lockstep/channel/tls_keyring.h"
#include "lockstep/output/pair_permit.h"
#include "node/build/machine_builder.h"
#include "node/config/protection_options.h"

namespace fmvm::node {

// A guest that is ready to run here, under a generation that this side has won.
struct PrimaryStart {
    lockstep::VmId vm{};
    std::shared_ptr<lockstep::Arbiter> arbiter;
    BuiltMachine built;
    std::shared_ptr<std::atomic<lockstep::Generation>> generation;
    std::shared_ptr<lockstep::PairPermit> pair;
    // Nothing that the guest emits leaves before: an override may have taken it from a side that
    // has not noticed yet.
    lockstep::BootTime speak_from{0};
};

// Refuses while another side may be running the guest. Whoever cannot let the guest run after all
// must tell the arbiter (mark_ended()).
// keys: by which the backup is known; null: in the clear.
Result<PrimaryStart> start_primary(const Kvm& kvm, const PrimaryCommandOptions& options,
                                   const std::shared_ptr<lockstep::TlsKeyring>& keys);

}  // namespace fmvm::node
