// SPDX-License-Identifier: Apache-2.0
#include "lockstep/wire/gathered_body.h"

#include <array>
#include <catch2/catch.hpp>
#include <random>

#include "base/digest.h"
#include "lockstep/wire/page_codec.h"

using namespace fmvm;
using namespace fmvm::lockstep;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes random_bytes(std::mt19937_64& random, std::size_t size) {
    Bytes bytes(size);
    for (std::uint8_t& byte : bytes)
        byte = static_cast<std::uint8_t>(random());
    return bytes;
}

}  // namespace

TEST_CASE("gathered body: pieces in order, digest as of one", "[body]") {
    std::mt19937_64 random(3);
    for (int round = 0; round < 200; ++round) {
        std::vector<Bytes> elsewhere(random() % 6);
        GatheredBody body;
        Bytes expected;
        for (Bytes& bytes : elsewhere) {
            const Bytes own = random_bytes(random, random() % 3 * 7);
            bytes = random_bytes(random, random() % 5 * 900);
            body.own().insert(body.own().end(), own.begin(), own.end());
            body.refer(bytes);
            expected.insert(expected.end(), own.begin(), own.end());
            expected.insert(expected.end(), bytes.begin(), bytes.end());
        }
        const Bytes last = random_bytes(random, random() % 3 * 5);
        body.own().insert(body.own().end(), last.begin(), last.end());
        expected.insert(expected.end(), last.begin(), last.end());
        REQUIRE(body.size() == expected.size());
        REQUIRE(body.empty() == expected.empty());
        REQUIRE((body.flat() == expected));
        REQUIRE(body.digest() == digest_of(expected));
        body.each_piece([](std::span<const std::uint8_t> piece) { REQUIRE_FALSE(piece.empty()); });
    }
}

TEST_CASE("gathered body: a page in place travels as one that was copied", "[body][pages]") {
    std::mt19937_64 random(4);
    std::array<std::uint8_t, page_size> zero{}, before{}, now{};
    for (std::uint8_t& byte : now)
        byte = static_cast<std::uint8_t>(random());
    before = now;
    before[100] ^= 1;
    const PageCompression all{true, true};
    for (const auto& page : {zero, now}) {
        for (const bool has_before : {false, true}) {
            const std::uint8_t* known = has_before ? before.data() : nullptr;
            Bytes copied = begin_pages_body(9);
            GatheredBody in_place(begin_pages_body(9));
            const PageEncoding encoding = append_page(copied, 5, page, known, all);
            CHECK(append_page_in_place(in_place, 5, page, known, all) == encoding);
            CHECK((in_place.flat() == copied));
            CHECK(in_place.refers() == (encoding == PageEncoding::raw));
        }
    }
}
