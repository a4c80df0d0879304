// SPDX-License-Identifier: Apache-2.0
// What several layers ask of plain bytes.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

namespace fmvm {

inline bool is_zero(std::span<const std::uint8_t> bytes) {
    // What starts with a zero and equals itself one byte further on is all zeroes.
    return bytes.empty() ||
           (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace fmvm
