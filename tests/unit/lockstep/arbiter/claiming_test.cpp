// SPDX-License-Identifier: Apache-2.0
#include "lockstep/arbiter/claiming.h"

#include <catch2/catch.hpp>

#include "support/captured_log.h"
#include "support/fake_lines.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using namespace std::chrono_literals;

namespace {

constexpr Claiming::TimePoint claim_start{1000s};

}  // namespace

TEST_CASE("claiming: an arbiter that gave no answer is asked again after half a second",
          "[arbiter]") {
    const CapturedLog log;
    Claiming claiming("backup", "not taking over yet");
    claiming.asked(claim_start);
    CHECK(claiming.is_asking());
    claiming.no_answer("the mount is gone", claim_start);
    CHECK_FALSE(claiming.is_asking());
    CHECK_FALSE(claiming.tick(claim_start + 499ms));
    CHECK(claiming.tick(claim_start + 500ms));
    CHECK_FALSE(claiming.tick(claim_start + 501ms));
}

TEST_CASE("claiming: it is told within a second that the arbiter hangs, after errors, too",
          "[arbiter]") {
    const CapturedLog log;
    Claiming claiming("backup", "not taking over yet");
    claiming.asked(claim_start);
    claiming.no_answer("the mount is gone", claim_start);
    CHECK_FALSE(claiming.tick(claim_start + 400ms));
    CHECK(eventually([&] { return log.has("not taking over yet: the mount is gone"); }));
    claiming.asked(claim_start + 500ms);
    CHECK_FALSE(claiming.tick(claim_start + 900ms));
    CHECK(eventually([&] { return log.has("not taking over yet: the arbiter does not answer"); }));
    claiming.over(claim_start + 2s);
    CHECK(eventually([&] { return log.has("the wait for the arbiter is over after 2.0 s"); }));
    CHECK(claiming.deadline() == Claiming::TimePoint::max());
}

TEST_CASE("claiming: an arbiter that fails for an hour is told of four times", "[arbiter]") {
    const CapturedLog log;
    Claiming claiming("primary", "output waits");
    for (auto time = claim_start; time < claim_start + 1h + 1s; time += 500ms) {
        claiming.asked(time);
        claiming.no_answer("the mount is gone", time);
        claiming.tick(time + 400ms);
    }
    CHECK(eventually([&] { return log.count("output waits: the mount is gone") == 4; }));
}
