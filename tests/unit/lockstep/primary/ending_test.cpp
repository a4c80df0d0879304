// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/ending.h"

#include <catch2/catch.hpp>

using namespace fmvm::lockstep;
using namespace std::chrono_literals;

namespace {

Ending::TimePoint ending_time(std::chrono::milliseconds time) {
    return Ending::TimePoint(1000s) + time;
}

}  // namespace

TEST_CASE("ending: without one no cut is the last", "[primary]") {
    Ending ending;
    CHECK_FALSE(ending.begun());
    CHECK_FALSE(ending.make_cut(false, ending_time(0ms)));
    CHECK_FALSE(ending.last_cut_made());
    CHECK_FALSE(ending.guest_end_reason());
}

TEST_CASE("ending: a switchover's next cut is the last, whatever the disks do", "[primary]") {
    Ending ending;
    ending.begin_switch_over();
    CHECK_FALSE(ending.hands_over());
    CHECK_FALSE(ending.waits_for_disks(ending_time(0ms)));
    CHECK(ending.make_cut(false, ending_time(0ms)));
    CHECK(ending.hands_over());
}

TEST_CASE("ending: a guest's last cut waits for its disks, within a limit", "[primary]") {
    Ending ending;
    ending.guest_ended("it powered off", ending_time(0ms));
    CHECK(ending.guest_end_reason() == "it powered off");
    CHECK(ending.waits_for_disks(ending_time(1999ms)));
    CHECK_FALSE(ending.make_cut(false, ending_time(1999ms)));
    CHECK_FALSE(ending.waits_for_disks(ending_time(2000ms)));

    SECTION("the disks are done") {
        CHECK(ending.make_cut(true, ending_time(1999ms)));
        CHECK_FALSE(ending.waits_for_disks(ending_time(1999ms)));
    }
    SECTION("they are not, and the time is over") {
        CHECK(ending.make_cut(false, ending_time(2000ms)));
    }
    CHECK(ending.last_cut_made());
    CHECK_FALSE(ending.hands_over());
}

TEST_CASE("ending: a guest that ends before a switchover's last cut ends here", "[primary]") {
    Ending ending;
    ending.begin_switch_over();
    ending.guest_ended("it powered off", ending_time(0ms));
    CHECK(ending.kind() == Ending::Kind::guest_end);
    CHECK(ending.make_cut(true, ending_time(0ms)));
    CHECK_FALSE(ending.hands_over());
}

TEST_CASE("ending: a guest that ends after a switchover's last cut is the backup's", "[primary]") {
    Ending ending;
    ending.begin_switch_over();
    REQUIRE(ending.make_cut(true, ending_time(0ms)));
    ending.guest_ended("stopped", ending_time(1ms));
    CHECK(ending.kind() == Ending::Kind::switch_over);
    CHECK(ending.hands_over());
    CHECK(ending.guest_end_reason() == "stopped");  // if it stays here after all
}
