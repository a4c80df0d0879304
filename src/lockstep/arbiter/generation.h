// SPDX-License-Identifier: Apache-2.0
// Who may run a VM alone. Each change of the one that may is a new generation; a side that wants to
// run alone first wins the next one from the arbiter (arbiter.h).
#pragma once

#include <array>
#include <cstdint>

namespace fmvm::lockstep {

using Generation = std::uint64_t;

// Names one VM for as long as it lives, whoever runs it: 16 random bytes, drawn at its first start.
using VmId = std::array<std::uint8_t, 16>;

}  // namespace fmvm::lockstep
