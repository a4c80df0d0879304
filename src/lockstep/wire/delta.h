// SPDX-License-Identifier: Apache-2.0
// What changed between two versions of the same bytes: runs of changed 64-bit words.
//
// Each run is encoded as the number of words to skip (u16), the number of changed words (u16) and
// those words. A skip or a run of more than 65535 words takes several. Bytes behind the last whole
// word follow unchanged.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fmvm::lockstep {

// Appends the difference to `out`. If that would take more than `limit` bytes, `out` stays as it
// was, and the answer is false. Both versions have the same length.
[[nodiscard]] bool encode_delta(std::span<const std::uint8_t> before,
                                std::span<const std::uint8_t> after, std::size_t limit,
                                std::vector<std::uint8_t>& out);

// Whether `delta` is well-formed for `length` bytes.
[[nodiscard]] bool check_delta(std::span<const std::uint8_t> delta, std::size_t length);

// Turns the version before into the one after. `delta` has passed check_delta().
void apply_delta(std::span<const std::uint8_t> delta, std::span<std::uint8_t> bytes);

}  // namespace fmvm::lockstep
