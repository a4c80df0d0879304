// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/reconnect_delay.h"

#include <catch2/catch.hpp>

using namespace fmvm::lockstep;
using namespace std::chrono_literals;

TEST_CASE("reconnect delay: a backup that is gone is looked for at once", "[primary]") {
    ReconnectDelay delay;
    for (int i = 0; i < 10; ++i)
        CHECK(delay.next(0s, false) == ReconnectDelay::shortest);
}

TEST_CASE("reconnect delay: one that is unfit again and again is asked ever more rarely",
          "[primary]") {
    ReconnectDelay delay;
    CHECK(delay.next(1s, true) == 500ms);
    CHECK(delay.next(1s, true) == 1s);
    CHECK(delay.next(1s, true) == 2s);
    for (int i = 0; i < 10; ++i)
        delay.next(1s, true);
    CHECK(delay.next(1s, true) == ReconnectDelay::longest);
    // Its restart is not an offence, but earns no trust either.
    CHECK(delay.next(2s, false) == 500ms);
    CHECK(delay.next(1s, true) == ReconnectDelay::longest);
    CHECK(delay.next(ReconnectDelay::trusted_after, true) == 500ms);
    CHECK(delay.next(1s, true) == 1s);
}
