// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/sign.h"

#include <algorithm>
#include <catch2/catch.hpp>

using namespace fmvm::lockstep;
using namespace std::chrono_literals;

TEST_CASE("a sign of life comes in as it went out", "[life]") {
    for (const bool asks : {false, true}) {
        const Sign sign{.number = 7,
                        .echo = 6,
                        .work = {.handled = 1ull << 40, .steps = 1ull << 41},
                        .promise = 49ms,
                        .asks = asks};
        CHECK(decode_sign(encode(sign)) == sign);
    }
}

TEST_CASE("a sign of life keeps its form on the wire", "[life]") {
    const SignBytes bytes = encode({.number = 0x0102,
                                    .echo = 3,
                                    .work = {.handled = 4, .steps = 5},
                                    .promise = 0x0607us,
                                    .asks = true});
    SignBytes expected{0x02, 0x01};
    expected[8] = 3;
    expected[16] = 4;
    expected[24] = 5;
    expected[32] = 7;
    expected[33] = 6;
    expected[36] = 1;
    CHECK(std::equal(bytes.begin(), bytes.begin() + 40, expected.begin()));
}

TEST_CASE("a sign of life that is damaged anywhere is none", "[life]") {
    const SignBytes good =
        encode({.number = 7, .echo = 6, .work = {5, 4}, .promise = 3us, .asks = true});
    for (std::size_t at = 0; at < good.size(); ++at) {
        SignBytes bytes = good;
        bytes[at] ^= 0x10;
        CHECK_FALSE(decode_sign(bytes));
    }
}
