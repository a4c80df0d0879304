// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/lifeline_watch.h"

#include <catch2/catch.hpp>

#include "support/fake_lifeline.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;

namespace {

const LifelineWatch::TimePoint watch_begin{1000s};

}  // namespace

TEST_CASE("a lifeline that gives no sign in time is a loss, and one that does is none", "[life]") {
    LifelineWatch watch;
    CHECK(watch.deadline() == LifelineWatch::TimePoint::max());
    watch.expect(200ms, watch_begin);
    CHECK_FALSE(watch.lost(watch_begin + 4s));
    CHECK(watch.lost(watch_begin + 5s) == "its lifeline does not begin");
    const auto peer = std::make_shared<test::LifelinePeer>();
    watch.made(std::make_unique<test::FakeLifeline>(peer));
    CHECK(watch.lost(watch.deadline()) == "its lifeline does not begin");
    peer->last_sign = [] { return watch_begin + 5s; };
    CHECK_FALSE(watch.lost(watch_begin + 5s + 100ms));
}

TEST_CASE("a lifeline that is silent for too long is a loss", "[life]") {
    LifelineWatch watch;
    const auto peer = std::make_shared<test::LifelinePeer>();
    peer->last_sign = [] { return watch_begin; };
    watch.expect(200ms, watch_begin);
    watch.made(std::make_unique<test::FakeLifeline>(peer));
    for (auto passed = 0ms; passed < 200ms; passed += 50ms)
        CHECK_FALSE(watch.lost(watch_begin + passed));
    CHECK(watch.deadline() == watch_begin + 200ms);
    CHECK(watch.lost(watch_begin + 200ms) == "no sign of life came by its lifeline for too long");
}

TEST_CASE("a long silence that is allowed allows a lifeline to take long, too", "[life]") {
    LifelineWatch watch;
    watch.expect(10s, watch_begin);
    CHECK(watch.deadline() == watch_begin + 20s);
}

TEST_CASE("a lifeline that is gone is a loss when the channel has not said why meanwhile",
          "[life]") {
    LifelineWatch watch;
    const auto peer = std::make_shared<test::LifelinePeer>();
    peer->last_sign = [] { return watch_begin; };
    watch.expect(200ms, watch_begin);
    watch.made(std::make_unique<test::FakeLifeline>(peer));
    watch.gone("the peer closed its lifeline", watch_begin + 1s);
    CHECK(peer->closed);
    CHECK_FALSE(watch.lost(watch_begin + 1s));
    CHECK(watch.lost(watch_begin + 1s + 200ms) == "the peer closed its lifeline");
}
