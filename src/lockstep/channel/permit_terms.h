// SPDX-License-Identifier: Apache-2.0
// How long a side may speak on the strength of its peer's promise (docs/life.md, "The permit").
//
// Times are of CLOCK_BOOTTIME, which goes on while a process is stopped or its host is suspended.
// The clocks of two hosts are never compared.
#pragma once

#include <chrono>

namespace fmvm::lockstep {

using BootTime = std::chrono::nanoseconds;  // since this host's boot

struct PermitTerms {
    std::chrono::nanoseconds length{0};  // P: both sides mean the same, by the hello

    // What the primary's clock may run slow against the backup's while the permit lasts: enough for
    // two rate errors of 1e-3. The millisecond is for the way from the look at the clock to the
    // write.
    constexpr std::chrono::nanoseconds margin() const {
        return length / 500 + std::chrono::milliseconds(1);
    }
};

}  // namespace fmvm::lockstep
