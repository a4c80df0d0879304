// SPDX-License-Identifier: Apache-2.0
#include "lockstep/arbiter/generation_watch.h"

#include <catch2/catch.hpp>

#include "lockstep/channel/permit_terms.h"
#include "support/captured_log.h"
#include "support/fake_lines.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using namespace std::chrono_literals;

namespace {

const GenerationWatch::TimePoint begin{1000s};

}  // namespace

TEST_CASE("generation watch: it asks again and again, one question at a time") {
    GenerationWatch watch("primary");
    CHECK(watch.deadline() == GenerationWatch::TimePoint::max());
    watch.begin(begin);
    CHECK_FALSE(watch.tick(begin + 1s));
    CHECK(watch.deadline() == begin + GenerationWatch::interval);
    CHECK(watch.tick(begin + 3s));
    CHECK_FALSE(watch.tick(begin + 60s));
    watch.answered(true, begin + 60s);
    CHECK(watch.tick(begin + 63s));
}

TEST_CASE("generation watch: a side that begins anew is silent for longer than two intervals") {
    CHECK(longest_permit > 2 * GenerationWatch::interval + GenerationWatch::patience);
}

TEST_CASE("generation watch: that there is no answer is told, and that there is one again") {
    const CapturedLog log;
    GenerationWatch watch("primary");
    watch.begin(begin);
    REQUIRE(watch.tick(begin + 3s));
    CHECK_FALSE(watch.tick(begin + 4s));
    CHECK(eventually([&] { return log.has("but sides cannot change: it does not answer"); }));
    watch.answered(Error("no such directory"), begin + 5s);
    CHECK(eventually([&] { return log.has("but sides cannot change: no such directory"); }));
    REQUIRE(watch.tick(begin + 8s));
    watch.answered(true, begin + 8s);
    CHECK(eventually([&] { return log.has("the arbiter answers again"); }));
}

TEST_CASE("generation watch: what is answered after its end changes nothing") {
    GenerationWatch watch("primary");
    watch.begin(begin);
    REQUIRE(watch.tick(begin + 3s));
    watch.end();
    watch.answered(true, begin + 4s);
    CHECK(watch.deadline() == GenerationWatch::TimePoint::max());
}
