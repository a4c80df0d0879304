// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <emmintrin.h>

#include "base/units.h"

namespace fmvm {

// Out of line, so that no caller's constant size reaches it.
[[gnu::noinline]] void copy_bytes(std::span<const std::uint8_t> from, std::uint8_t* to) {
    if (!from.empty()) std::memcpy(to, from.data(), from.size());  // memcpy takes no nullptr
}

void stream_bytes(std::span<const std::uint8_t> from, std::uint8_t* to) {
    const auto* source = reinterpret_cast<const __m128i_u*>(from.data());
    auto* target = reinterpret_cast<__m128i*>(to);
    const auto* const end = source + from.size() / sizeof(__m128i);
    for (; source != end; source += 4, target += 4) {
        const __m128i a = _mm_loadu_si128(source);
        const __m128i b = _mm_loadu_si128(source + 1);
        const __m128i c = _mm_loadu_si128(source + 2);
        const __m128i d = _mm_loadu_si128(source + 3);
        _mm_stream_si128(target, a);
        _mm_stream_si128(target + 1, b);
        _mm_stream_si128(target + 2, c);
        _mm_stream_si128(target + 3, d);
    }
    _mm_sfence();
}

CopyBytes copy_for(std::size_t bytes) {
    constexpr std::size_t cached_max = 16 * mib;
    return bytes <= cached_max ? copy_bytes : stream_bytes;
}

}  // namespace fmvm
