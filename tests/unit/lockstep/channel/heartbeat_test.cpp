// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/heartbeat.h"

#include <catch2/catch.hpp>

using namespace fmvm::lockstep;
using namespace std::chrono_literals;

namespace {

const Heartbeat::TimePoint start{100s};

}  // namespace

TEST_CASE("heartbeat: before it begins nothing is owed", "[heartbeat]") {
    const Heartbeat none;
    CHECK_FALSE(none.begun());
    CHECK_FALSE(none.is_due(start));
    CHECK_FALSE(none.owes_answer(start));
}

TEST_CASE("heartbeat: the leading side owes one when it has been silent for an interval",
          "[heartbeat]") {
    Heartbeat leads(20ms, Heartbeat::Role::leads, start);
    CHECK(leads.due_at() == start + 20ms);
    CHECK_FALSE(leads.is_due(start + 15ms));
    CHECK(leads.is_due(start + 20ms));
    leads.sent(start + 15ms);
    CHECK_FALSE(leads.is_due(start + 20ms));
    CHECK(leads.due_at() == start + 35ms);
    CHECK_FALSE(leads.owes_answer(start + 60ms));
}

TEST_CASE("heartbeat: the other side answers, unless it has just said something", "[heartbeat]") {
    Heartbeat answers(20ms, Heartbeat::Role::answers, start);
    CHECK_FALSE(answers.owes_answer(start + 9ms));
    CHECK(answers.owes_answer(start + 10ms));
    answers.sent(start + 10ms);
    CHECK_FALSE(answers.owes_answer(start + 11ms));
    CHECK(answers.due_at() == start + 35ms);  // by itself, when nothing comes
    CHECK(answers.is_due(start + 35ms));
}

// Each beat is one timer, on one side; nobody is silent for longer than an interval.
TEST_CASE("heartbeat: two idle sides need one timer", "[heartbeat]") {
    Heartbeat leads(20ms, Heartbeat::Role::leads, start);
    Heartbeat answers(20ms, Heartbeat::Role::answers, start);
    Heartbeat::TimePoint heard = start;
    for (auto now = start; now < start + 1s; now += 1ms) {
        REQUIRE_FALSE(answers.is_due(now));
        if (!leads.is_due(now)) continue;
        leads.sent(now);
        REQUIRE(answers.owes_answer(now));
        answers.sent(now);
        REQUIRE_FALSE(leads.owes_answer(now));
        CHECK(now - heard <= 20ms);
        heard = now;
    }
    CHECK(heard > start + 970ms);
}
