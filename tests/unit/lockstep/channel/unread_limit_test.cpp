// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/unread_limit.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::lockstep;

TEST_CASE("reading pauses above the limit, and goes on when half is read", "[channel]") {
    constexpr std::size_t piece = UnreadLimit::bytes_max / 4;
    UnreadLimit limit;
    for (int i = 0; i < 4; ++i) {
        CHECK(limit.may_read());
        limit.delivered(piece);
    }
    CHECK(limit.may_read());  // just full
    limit.delivered(piece);
    CHECK_FALSE(limit.may_read());
    CHECK(limit.is_paused());
    CHECK_FALSE(limit.read(piece));
    CHECK_FALSE(limit.read(piece));
    CHECK(limit.read(piece));
    CHECK(limit.may_read());
    CHECK_FALSE(limit.is_paused());
    CHECK_FALSE(limit.read(piece));  // nobody needs to be woken
}

TEST_CASE("many small frames count for more than their bodies", "[channel]") {
    UnreadLimit limit;
    std::size_t frames = 0;
    while (limit.may_read()) {
        limit.delivered(UnreadLimit::cost(0));
        ++frames;
    }
    CHECK(frames == UnreadLimit::bytes_max / UnreadLimit::frame_cost + 1);
}
