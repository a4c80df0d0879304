// SPDX-License-Identifier: Apache-2.0
// A sign of life, as a lifeline carries it in both directions (docs/life.md):
//
//     0  u64  number: counts the signs of this side in this session, from 1
//     8  u64  echo: the newest number of the peer's signs that this side has taken; 0: none
//    16  u64  handled: bytes of the channel's frames that this side's working thread has finished
//    24  u64  asks: 1 if an answer is wanted at once, else 0
//    32  u64  XXH3-64 of the 32 bytes before
//
// Numbers are little-endian. Nothing here allocates.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace fmvm::lockstep {

struct Sign {
    std::uint64_t number = 0;
    std::uint64_t echo = 0;
    std::uint64_t handled = 0;
    bool asks = false;
    bool operator==(const Sign&) const = default;
};

inline constexpr std::size_t sign_bytes = 40;
using SignBytes = std::array<std::uint8_t, sign_bytes>;

SignBytes encode(const Sign& sign);
// Nothing: these bytes are none.
std::optional<Sign> decode_sign(std::span<const std::uint8_t, sign_bytes> bytes);

}  // namespace fmvm::lockstep
