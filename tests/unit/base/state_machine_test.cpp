// SPDX-License-Identifier: Apache-2.0
#include "base/state_machine.h"

#include <catch2/catch.hpp>

#include "support/death.h"

using namespace fmvm;

namespace {

enum class Door { open, shut, locked };

const char* name_of(Door door) {
    return door == Door::open ? "open" : door == Door::shut ? "shut" : "locked";
}

constexpr Transition<Door> table[] = {
    {Door::open, Door::shut},
    {Door::shut, Door::open},
    {Door::shut, Door::locked},
};

}  // namespace

TEST_CASE("state machine: it goes where its table allows") {
    StateMachine<Door> door(Door::open, table);
    CHECK(door.may_enter(Door::shut));
    CHECK_FALSE(door.may_enter(Door::locked));
    CHECK_FALSE(door.may_enter(Door::open));
    door.enter(Door::shut);
    door.enter(Door::locked);
    CHECK(door.is(Door::locked));
    CHECK_FALSE(door.may_enter(Door::open));
}

TEST_CASE("state machine: a set of states holds those that it was made of") {
    constexpr StateSet<Door> states{Door::open, Door::locked};
    CHECK(states.contains(Door::open));
    CHECK_FALSE(states.contains(Door::shut));
    CHECK(states.contains(Door::locked));
}

TEST_CASE("state machine: a transition that is not in its table ends the process") {
    StateMachine<Door> door(Door::open, table);
    CHECK(test::aborts([&door] { door.enter(Door::locked); }));
    CHECK(test::aborts([&door] { door.enter(Door::open); }));
}
