// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <catch2/catch.hpp>
#include <vector>

using namespace fmvm;

TEST_CASE("bytes: zero means every byte", "[base]") {
    std::vector<std::uint8_t> bytes(4096, 0);
    CHECK(is_zero(bytes));
    CHECK(is_zero(std::span<const std::uint8_t>()));
    for (std::uint8_t& byte : bytes) {
        byte = 1;
        REQUIRE_FALSE(is_zero(bytes));
        byte = 0;
    }
}
