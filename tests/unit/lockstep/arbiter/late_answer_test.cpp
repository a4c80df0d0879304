// SPDX-License-Identifier: Apache-2.0
#include "lockstep/arbiter/late_answer.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;

namespace {

constexpr LateAnswer::TimePoint wait_start{1000s};
const auto nothing = std::optional<std::string>();

}  // namespace

TEST_CASE("late answer: one that comes in time is nobody's news", "[arbiter]") {
    LateAnswer answer(1s, "late", 0s);
    CHECK(answer.deadline() == LateAnswer::TimePoint::max());
    answer.asked(wait_start);
    CHECK(answer.deadline() == wait_start + 1s);
    CHECK(answer.look(wait_start + 900ms) == nothing);
    CHECK(answer.over(wait_start + 950ms) == nothing);
    CHECK(answer.deadline() == LateAnswer::TimePoint::max());
}

TEST_CASE("late answer: one that is late is told of once, and when it has come", "[arbiter]") {
    LateAnswer answer(1s, "late", 0s);
    answer.asked(wait_start);
    CHECK(answer.look(wait_start + 1s) == "late");
    CHECK(answer.look(wait_start + 2s) == nothing);
    CHECK(answer.deadline() > wait_start + 30s);  // when it is told again
    CHECK(answer.over(wait_start + 3s).has_value());
}

TEST_CASE("late answer: a bad one is told when that has lasted, the newest reason", "[arbiter]") {
    LateAnswer answer(1s, "late", 400ms);
    answer.asked(wait_start);
    CHECK(answer.bad("full", wait_start + 10ms) == nothing);
    CHECK(answer.deadline() == wait_start + 410ms);
    answer.asked(wait_start + 300ms);
    CHECK(answer.bad("read-only", wait_start + 310ms) == nothing);
    CHECK(answer.look(wait_start + 410ms) == "read-only");
}
