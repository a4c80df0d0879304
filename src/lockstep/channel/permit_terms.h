// SPDX-License-Identifier: Apache-2.0
// How long a side may speak on the strength of its peer's promise (docs/life.md, "The permit").
//
// Times are of CLOCK_BOOTTIME, which goes on while a process is stopped or its host is suspended.
// The clocks of two hosts are never compared.
#pragma once

#include <algorithm>
#include <chrono>

namespace fmvm::lockstep {

using BootTime = std::chrono::nanoseconds;  // since this host's boot

// Who takes a guest over that nobody has handed to it, by an override, is silent for so long first.
inline constexpr std::chrono::seconds longest_permit{10};
// Less than twice its own margin is no permit.
inline constexpr std::chrono::milliseconds shortest_permit{5};

// A backup promises no more, so that a silence has lasted longer than what it has promised.
constexpr std::chrono::nanoseconds longest_promise(std::chrono::milliseconds lost_after) {
    return std::min<std::chrono::nanoseconds>(lost_after / 2, longest_permit);
}

// What the primary's clock may run slow against the backup's while a promise of this length lasts:
// enough for two rate errors of 1e-3. The millisecond is for the way from the look at the clock to
// the write.
constexpr std::chrono::nanoseconds permit_margin(std::chrono::nanoseconds length) {
    return length / 500 + std::chrono::milliseconds(1);
}

// P of docs/life.md: how long the promises are that a primary asks for.
struct PermitTerms {
    std::chrono::nanoseconds shortest{0};
    std::chrono::nanoseconds longest{0};
};

// So long after a side alone has asked the arbiter, it may speak on an answer: the argument of the
// permit, with the question as the sign.
inline constexpr std::chrono::nanoseconds answer_valid_for =
    longest_permit - permit_margin(longest_permit);

}  // namespace fmvm::lockstep
