// SPDX-License-Identifier: Apache-2.0
// CRC-32 as in zlib (so that a host-side reader in Python has it at hand), and a fast mixing
// function for patterns and seeded choices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bare {

uint32_t crc32(const void* data, size_t size);
inline uint32_t crc32(std::string_view text) {
    return crc32(text.data(), text.size());
}

// A bijection of 64-bit words in which every input bit reaches every output bit (multiply and
// fold).
constexpr uint64_t mix(uint64_t value) {
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93;
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93;
    return value ^ value >> 32;
}

// Reproducible choices from a seed.
class Random {
  public:
    explicit Random(uint64_t seed) : state_(mix(seed + 1)) {}

    uint64_t next() {
        state_ += 0x9e3779b97f4a7c15;  // odd, so that the state visits every word
        return mix(state_);
    }
    // Below `limit`, which is not zero.
    uint64_t below(uint64_t limit) {
        return static_cast<uint64_t>(static_cast<unsigned __int128>(next()) * limit >> 64);
    }
    bool one_in(uint64_t count) { return below(count) == 0; }

  private:
    uint64_t state_;
};

}  // namespace bare
