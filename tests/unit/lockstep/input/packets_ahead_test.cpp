// SPDX-License-Identifier: Apache-2.0
#include "lockstep/input/packets_ahead.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::lockstep;

namespace {

using Kept = std::vector<std::uint8_t>;

}  // namespace

TEST_CASE("packets ahead of a state are those from its position on, card by card", "[input]") {
    PacketsAhead ahead;
    for (std::uint8_t i = 0; i < 5; ++i) {
        REQUIRE(ahead.add({0, i, Kept{i}}).ok());
        REQUIRE(ahead.add({1, i + 10U, Kept{i}}).ok());
    }
    const auto packets = ahead.of(0, 3);
    REQUIRE(packets.size() == 2);
    CHECK(packets[0][0] == 3);
    CHECK(packets[1][0] == 4);
    CHECK(ahead.of(0, 5).empty());
    CHECK(ahead.of(1, 0).size() == 5);
    CHECK(ahead.of(2, 0).empty());
}

TEST_CASE("packets ahead may have gaps, but go neither back nor twice", "[input][hostile]") {
    PacketsAhead ahead;
    CHECK(ahead.add({0, 5, Kept{1}}).ok());
    CHECK(ahead.add({0, 9, Kept{1}}).ok());
    CHECK_FALSE(ahead.add({0, 9, Kept{1}}).ok());
    CHECK_FALSE(ahead.add({0, 8, Kept{1}}).ok());
    CHECK(ahead.add({1, 8, Kept{1}}).ok());
}

TEST_CASE("packets ahead are bounded: the oldest go", "[input][hostile]") {
    PacketsAhead ahead;
    constexpr std::size_t size = 60'000;
    constexpr std::size_t fit = PacketsAhead::card_bytes_max / size;
    for (std::uint64_t position = 0; position < 1000; ++position)
        REQUIRE(ahead.add({0, position, Kept(size)}).ok());
    CHECK(ahead.of(0, 0).size() == fit);
    CHECK(ahead.of(0, 1000 - fit).size() == fit);
}
