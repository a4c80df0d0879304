// SPDX-License-Identifier: Apache-2.0
#include "base/digest.h"

#define XXH_STATIC_LINKING_ONLY  // the size of a state
#include <xxh_x86dispatch.h>

namespace fmvm {

struct Digest::State {
    XXH3_state_t xxh;
};

std::uint64_t digest_of(std::span<const std::uint8_t> bytes, std::uint64_t seed) {
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

Digest::Digest() : state_(std::make_unique<State>()) {
    XXH3_64bits_reset(&state_->xxh);
}

Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;
Digest::~Digest() = default;

void Digest::add(std::span<const std::uint8_t> bytes) {
    XXH3_64bits_update(&state_->xxh, bytes.data(), bytes.size());
}

std::uint64_t Digest::value() const {
    return XXH3_64bits_digest(&state_->xxh);
}

}  // namespace fmvm
