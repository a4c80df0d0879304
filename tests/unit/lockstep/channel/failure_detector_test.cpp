// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/failure_detector.h"

#include <catch2/catch.hpp>

using namespace fmvm::lockstep;
using namespace std::chrono_literals;

namespace {

using TimePoint = std::chrono::steady_clock::time_point;

TimePoint at(std::chrono::microseconds time) {
    return TimePoint(1000s) + time;
}

FailureDetector make_detector() {
    return FailureDetector(900ms, at(0ms));
}

}  // namespace

TEST_CASE("failure detector: silence beyond the limit is a loss", "[detector]") {
    FailureDetector detector = make_detector();
    for (auto time = 100ms; time < 900ms; time += 100ms)
        CHECK_FALSE(detector.is_lost(at(time), at(0ms)));
    CHECK(detector.is_lost(at(900ms), at(0ms)));
    CHECK(detector.is_lost(at(1100ms), at(0ms)));
}

TEST_CASE("failure detector: any sign of life starts the time again", "[detector]") {
    FailureDetector detector = make_detector();
    TimePoint heard = at(0ms);
    for (auto time = 100ms; time <= 5000ms; time += 100ms) {
        if (time % 800ms == 0ms) heard = at(time);
        CHECK_FALSE(detector.is_lost(at(time), heard));
    }
    for (auto time = 5100ms; time < 5700ms; time += 100ms)
        CHECK_FALSE(detector.is_lost(at(time), heard));
    CHECK(detector.is_lost(at(5700ms), heard));
}

TEST_CASE("failure detector: somebody who was never heard has the time, too", "[detector]") {
    FailureDetector detector = make_detector();
    for (const auto time : {300ms, 600ms, 899ms})
        CHECK_FALSE(detector.is_lost(at(time), TimePoint::min()));
    CHECK(detector.next_look(TimePoint::min()) == at(900ms));
    CHECK(detector.is_lost(at(900ms), TimePoint::min()));
}

TEST_CASE("failure detector: our own pause is not the peer's", "[detector]") {
    FailureDetector detector = make_detector();
    CHECK_FALSE(detector.is_lost(at(100ms), at(0ms)));
    // Frozen for a minute. The peer gets all of its time again, and only once.
    CHECK_FALSE(detector.is_lost(at(60s), at(0ms)));
    for (auto time = 60'100ms; time < 60'900ms; time += 100ms)
        CHECK_FALSE(detector.is_lost(at(time), at(0ms)));
    CHECK(detector.is_lost(at(60'900ms), at(0ms)));
}

TEST_CASE("failure detector: looks that are a little late change nothing", "[detector]") {
    FailureDetector detector = make_detector();
    CHECK_FALSE(detector.is_lost(at(500ms), at(0ms)));
    CHECK(detector.is_lost(at(1000ms), at(0ms)));
}

TEST_CASE("failure detector: it looks three times in the limit, and when that is over",
          "[detector]") {
    FailureDetector detector = make_detector();
    CHECK(detector.next_look(at(0ms)) == at(300ms));
    CHECK_FALSE(detector.is_lost(at(300ms), at(240ms)));
    CHECK(detector.next_look(at(240ms)) == at(600ms));
    CHECK_FALSE(detector.is_lost(at(600ms), at(240ms)));
    CHECK(detector.next_look(at(240ms)) == at(900ms));
    CHECK_FALSE(detector.is_lost(at(900ms), at(240ms)));
    CHECK(detector.next_look(at(240ms)) == at(1140ms));  // not a moment longer
    CHECK(detector.is_lost(at(1140ms), at(240ms)));
}
