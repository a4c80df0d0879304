// SPDX-License-Identifier: Apache-2.0
#include "base/units.h"

#include <array>
#include <catch2/catch.hpp>
#include <limits>

#include "base/little_endian.h"
#include "support/death.h"

using namespace fmvm;
using fmvm::test::aborts;

namespace {
constexpr std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
}

TEST_CASE("units: a range fits or not, whatever the numbers", "[base]") {
    CHECK(range_fits(0, 10, 10));
    CHECK(range_fits(9, 1, 10));
    CHECK(range_fits(10, 0, 10));
    CHECK_FALSE(range_fits(11, 0, 10));
    CHECK_FALSE(range_fits(9, 2, 10));
    CHECK_FALSE(range_fits(0, 11, 10));
    CHECK_FALSE(range_fits(max, 2, 10));
    CHECK_FALSE(range_fits(2, max, 10));
    CHECK_FALSE(range_fits(max, max, 10));
    CHECK(range_fits(0, max, max));
    CHECK_FALSE(range_fits(1, max, max));
}

TEST_CASE("units: alignment", "[base]") {
    CHECK(align_down(4095, 4096) == 0);
    CHECK(align_down(max, 4096) == max - 4095);
    CHECK(align_up(1, 4096) == 4096);
    CHECK(align_up(4096, 4096) == 4096);
    CHECK(is_aligned(0, 512));
    CHECK(is_aligned(1024, 512));
    CHECK_FALSE(is_aligned(513, 512));
}

TEST_CASE("units: little-endian bytes", "[base]") {
    const std::array<std::uint8_t, 9> bytes{1, 2, 3, 4, 5, 6, 7, 8, 9};
    CHECK(load_le<std::uint16_t>(bytes) == 0x0201);
    CHECK(load_le<std::uint32_t>(bytes, 3) == 0x07060504);
    CHECK(load_le<std::uint64_t>(bytes, 1) == 0x0908070605040302);

    std::array<std::uint8_t, 4> out{};
    store_le<std::uint16_t>(out, 1, 0xabcd);
    CHECK(out == std::array<std::uint8_t, 4>{0, 0xcd, 0xab, 0});
}

TEST_CASE("units: a load or store outside its buffer aborts", "[base]") {
    std::array<std::uint8_t, 4> bytes{};
    CHECK(aborts([&] { load_le<std::uint32_t>(bytes, 1); }));
    CHECK(aborts([&] { load_le<std::uint64_t>(bytes); }));
    CHECK(aborts([&] { load_le<std::uint8_t>(bytes, max); }));
    CHECK(aborts([&] { store_le<std::uint16_t>(bytes, 3, 1); }));
}
