// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/sign.h"

#include "base/digest.h"
#include "base/little_endian.h"

namespace fmvm::lockstep {

namespace {

constexpr std::size_t number_at = 0;
constexpr std::size_t echo_at = 8;
constexpr std::size_t handled_at = 16;
constexpr std::size_t steps_at = 24;
constexpr std::size_t promise_at = 32;
constexpr std::size_t asks_at = 36;
constexpr std::size_t digest_at = 40;

}  // namespace

SignBytes encode(const Sign& sign) {
    SignBytes bytes{};
    store_le(std::span(bytes), number_at, sign.number);
    store_le(std::span(bytes), echo_at, sign.echo);
    store_le(std::span(bytes), handled_at, sign.work.handled);
    store_le(std::span(bytes), steps_at, sign.work.steps);
    store_le(std::span(bytes), promise_at, static_cast<std::uint32_t>(sign.promise.count()));
    store_le(std::span(bytes), asks_at, std::uint32_t{sign.asks});
    store_le(std::span(bytes), digest_at, digest_of(std::span(bytes).first(digest_at)));
    return bytes;
}

std::optional<Sign> decode_sign(std::span<const std::uint8_t, sign_bytes> bytes) {
    const auto asks = load_le<std::uint32_t>(bytes, asks_at);
    if (asks > 1 || load_le<std::uint64_t>(bytes, digest_at) != digest_of(bytes.first(digest_at)))
        return std::nullopt;
    return Sign{.number = load_le<std::uint64_t>(bytes, number_at),
                .echo = load_le<std::uint64_t>(bytes, echo_at),
                .work = {.handled = load_le<std::uint64_t>(bytes, handled_at),
                         .steps = load_le<std::uint64_t>(bytes, steps_at)},
                .promise = std::chrono::microseconds(load_le<std::uint32_t>(bytes, promise_at)),
                .asks = asks == 1};
}

}  // namespace fmvm::lockstep
