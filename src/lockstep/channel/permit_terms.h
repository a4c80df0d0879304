// SPDX-License-Identifier: Apache-2.0
// How long a side may speak on the strength of its peer's promise (docs/life.md, "The permit").
//
// Times are of CLOCK_BOOTTIME, which goes on while a process is stopped or its host is suspended.
// The clocks of two hosts are never compared.
#pragma once

#include <chrono>

namespace fmvm::lockstep {

using BootTime = std::chrono::nanoseconds;  // since this host's boot

// Who takes a guest over that nobody has handed to it, by an override, is silent for so long first.
inline constexpr std::chrono::seconds longest_permit{10};

struct PermitTerms {
    std::chrono::nanoseconds length{0};  // P: both sides mean the same, by the hello

    // What the primary's clock may run slow against the backup's while the permit lasts: enough for
    // two rate errors of 1e-3. The millisecond is for the way from the look at the clock to the
    // write.
    constexpr std::chrono::nanoseconds margin() const {
        return length / 500 + std::chrono::milliseconds(1);
    }
};

// So long after a side alone has asked the arbiter, it may speak on an answer: the argument of the
// permit, with the question as the sign.
inline constexpr std::chrono::nanoseconds answer_valid_for =
    longest_permit - PermitTerms{longest_permit}.margin();

}  // namespace fmvm::lockstep
