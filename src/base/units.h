// SPDX-License-Identifier: Apache-2.0
// Sizes and the arithmetic on them that hostile numbers cannot break.
#pragma once

#include <cstdint>

namespace fmvm {

inline constexpr std::uint64_t kib = 1024;
inline constexpr std::uint64_t mib = 1024 * kib;
inline constexpr std::uint64_t gib = 1024 * mib;
inline constexpr std::uint64_t page_size = 4096;
inline constexpr std::uint64_t sector_size = 512;  // virtio 1.2, 5.2: always 512, whatever blk_size

// True when [offset, offset + length) lies within [0, size); no overflow for any input.
constexpr bool range_fits(std::uint64_t offset, std::uint64_t length, std::uint64_t size) {
    return length <= size && offset <= size - length;
}

// Whether [start, start + length) and [other, other + other_length) have something in common.
// Neither end overflows.
constexpr bool ranges_overlap(std::uint64_t start, std::uint64_t length, std::uint64_t other,
                              std::uint64_t other_length) {
    return start < other + other_length && other < start + length;
}

constexpr std::uint64_t align_down(std::uint64_t value, std::uint64_t power_of_two) {
    return value & ~(power_of_two - 1);
}

// The caller makes sure that value + power_of_two does not overflow.
constexpr std::uint64_t align_up(std::uint64_t value, std::uint64_t power_of_two) {
    return align_down(value + power_of_two - 1, power_of_two);
}

constexpr bool is_aligned(std::uint64_t value, std::uint64_t power_of_two) {
    return (value & (power_of_two - 1)) == 0;
}

}  // namespace fmvm
