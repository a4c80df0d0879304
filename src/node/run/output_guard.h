// SPDX-License-Identifier: Apache-2.0
// Lets the output of a protected guest leave this process only while no other side may run the
// guest.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "lockstep/arbiter/arbiter.h"
#include "node/build/machine_builder.h"

namespace fmvm::node {

// From here on console output, and writes that waited for their epoch, leave only while
// `generation` is the newest that the arbiter knows. `generation` is asked on any thread, perhaps
// when everybody else is gone. lost_after: the silence after which a peer takes this side for lost.
void guard_output(BuiltMachine& built, std::shared_ptr<lockstep::Arbiter> arbiter,
                  std::function<lockstep::Generation()> generation,
                  std::chrono::milliseconds lost_after);

}  // namespace fmvm::node
