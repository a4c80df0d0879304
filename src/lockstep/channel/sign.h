// SPDX-License-Identifier: Apache-2.0
// A sign of life, as a lifeline carries it in both directions (docs/life.md):
//
//     0  u64  number: counts the signs of this side in this session, from 1
//     8  u64  echo: the newest number of the peer's signs that this side has taken; 0: none
//    16  u64  handled: bytes of the channel's frames that this side's working thread has finished
//    24  u64  steps: of long work that this side has done (base/work_steps.h)
//    32  u32  promise: for so many microseconds the peer is asked to be silent; 0 in a backup's
//    36  u32  asks: 1 if an answer is wanted at once, else 0
//    40  u64  XXH3-64 of the 40 bytes before
//
// Numbers are little-endian. Nothing here allocates.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>

namespace fmvm::lockstep {

// How far the working thread of a side is. Neither ever goes back.
struct WorkDone {
    std::uint64_t handled = 0;
    std::uint64_t steps = 0;
    bool operator==(const WorkDone&) const = default;
};

struct Sign {
    std::uint64_t number = 0;
    std::uint64_t echo = 0;
    WorkDone work{};
    std::chrono::microseconds promise{0};  // fewer than 2^32
    bool asks = false;
    bool operator==(const Sign&) const = default;
};

inline constexpr std::size_t sign_bytes = 48;
using SignBytes = std::array<std::uint8_t, sign_bytes>;

SignBytes encode(const Sign& sign);
// Nothing: these bytes are none.
std::optional<Sign> decode_sign(std::span<const std::uint8_t, sign_bytes> bytes);

}  // namespace fmvm::lockstep
