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

// The C library's memcpy, always: for a size it knows, g++ 12 puts a slower loop in its place
// (`rep movsq` for a page), and its std::ranges::copy from constant bytes goes byte by byte.
void copy_bytes(std::span<const std::uint8_t> from, std::uint8_t* to);

// The same past the caches: saves reading what will be overwritten. `to` is aligned to 16 bytes,
// the size a multiple of 64.
void stream_bytes(std::span<const std::uint8_t> from, std::uint8_t* to);

// The one of both that suits pages of so many bytes in all: more than the caches hold go past them.
using CopyBytes = void (*)(std::span<const std::uint8_t> from, std::uint8_t* to);
CopyBytes copy_for(std::size_t bytes);

}  // namespace fmvm
