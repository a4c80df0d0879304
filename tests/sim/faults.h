// SPDX-License-Identifier: Apache-2.0
// A bad day, from a seed: how the sides are set up, and what befalls them and when.
#pragma once

#include "sim/world.h"

namespace fmvm::sim {

Settings settings_of(std::uint64_t seed);

// What may go wrong in the first `fault_time`; then nothing does any more.
inline constexpr Duration fault_time = 1500ms;
void plan_faults(World& world, std::uint64_t seed);

}  // namespace fmvm::sim
