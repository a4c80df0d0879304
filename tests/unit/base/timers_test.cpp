// SPDX-License-Identifier: Apache-2.0
#include "base/timers.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace std::chrono_literals;

namespace {

enum class Timer { tea, eggs };
using KitchenTimers = Timers<Timer, 2>;

KitchenTimers::TimePoint minute_at(std::chrono::minutes time) {
    return KitchenTimers::TimePoint(1000s) + time;
}

}  // namespace

TEST_CASE("timers: a timer expires once, not before its time, and no other with it") {
    KitchenTimers timers;
    CHECK_FALSE(timers.expired(Timer::tea, minute_at(1min)));
    timers.set(Timer::tea, minute_at(3min));
    timers.set(Timer::eggs, minute_at(5min));
    CHECK_FALSE(timers.expired(Timer::tea, minute_at(2min)));
    CHECK(timers.is_set(Timer::tea));
    CHECK(timers.expired(Timer::tea, minute_at(3min)));
    CHECK_FALSE(timers.expired(Timer::tea, minute_at(4min)));
    CHECK(timers.is_set(Timer::eggs));
}

TEST_CASE("timers: the earliest is that of the timer which expires first, or never") {
    KitchenTimers timers;
    CHECK(timers.earliest() == KitchenTimers::never);
    timers.set(Timer::eggs, minute_at(5min));
    CHECK(timers.earliest() == minute_at(5min));
    timers.set(Timer::tea, minute_at(3min));
    CHECK(timers.earliest() == minute_at(3min));
    timers.clear(Timer::tea);
    CHECK(timers.earliest() == minute_at(5min));
    timers.clear();
    CHECK(timers.earliest() == KitchenTimers::never);
}
