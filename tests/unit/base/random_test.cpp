// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include <array>
#include <catch2/catch.hpp>

using namespace fmvm;

TEST_CASE("random: two values differ", "[base]") {
    using Id = std::array<std::uint8_t, 16>;
    CHECK(random_value<Id>() != random_value<Id>());
}
