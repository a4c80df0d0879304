// SPDX-License-Identifier: Apache-2.0
// Lets the output of a protected guest leave this process only while no other side may run the
// guest.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "lockstep/arbiter/arbiter.h"
#include "lockstep/output/pair_permit.h"
#include "node/build/machine_builder.h"

namespace fmvm::node {

struct OutputRights {
    std::shared_ptr<lockstep::Arbiter> arbiter;
    // This side's own; asked on any thread, perhaps when everybody else is gone.
    std::function<lockstep::Generation()> generation;
    std::shared_ptr<lockstep::PairPermit> pair;
    lockstep::BootTime speak_from{0};  // until then another side may still speak
    // The silence after which a peer takes this side for lost.
    std::chrono::milliseconds lost_after{0};
};

// From here on console output, and writes that waited for their epoch, leave only by these rights.
void guard_output(BuiltMachine& built, const OutputRights& rights);

}  // namespace fmvm::node
