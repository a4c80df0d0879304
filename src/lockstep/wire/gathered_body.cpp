// SPDX-License-Identifier: Apache-2.0
#include "lockstep/wire/gathered_body.h"

#include "base/digest.h"

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
    if (!refers()) return digest_of(own_);
    Digest digest;
    each_piece([&](std::span<const std::uint8_t> piece) { digest.add(piece); });
    return digest.value();
}

}  // namespace fmvm::lockstep
