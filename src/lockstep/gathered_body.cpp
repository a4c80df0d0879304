// SPDX-License-Identifier: Apache-2.0
#include "lockstep/gathered_body.h"

#define XXH_STATIC_LINKING_ONLY  // the state on the stack
#include <xxhash.h>

#include "lockstep/frame_codec.h"

namespace fmvm::lockstep {

std::vector<std::uint8_t> GatheredBody::flat() const {
    std::vector<std::uint8_t> bytes;
    bytes.reserve(size());
    each_piece([&](std::span<const std::uint8_t> piece) {
        bytes.insert(bytes.end(), piece.begin(), piece.end());
    });
    return bytes;
}

std::uint64_t GatheredBody::digest() const {
    if (!refers()) return body_digest(own_);
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    each_piece([&](std::span<const std::uint8_t> piece) {
        XXH3_64bits_update(&state, piece.data(), piece.size());
    });
    return XXH3_64bits_digest(&state);
}

}  // namespace fmvm::lockstep
