// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/hang_watchdog.h"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <optional>

using namespace fmvm::lockstep;
using std::chrono::milliseconds;

namespace {

struct WatchdogBench {
    // The user comes to its handlers.
    std::size_t run_user() {
        user.restart();
        return user.poll();
    }
    HangWatchdog::TimePoint at(int ms) const { return begun + milliseconds(ms); }

    const HangWatchdog::TimePoint begun = std::chrono::steady_clock::now();
    boost::asio::io_context user{1};
    std::optional<HangWatchdog> watchdog{std::in_place, user, milliseconds(6000)};
};

}  // namespace

TEST_CASE("a user that does not answer in time is stuck, until it answers", "[channel]") {
    WatchdogBench bench;
    CHECK_FALSE(bench.watchdog->is_stuck(bench.at(0)));
    CHECK_FALSE(bench.watchdog->is_stuck(bench.at(5999)));
    CHECK(bench.watchdog->is_stuck(bench.at(6000)));
    CHECK(bench.run_user() == 1);  // it was asked once
    CHECK_FALSE(bench.watchdog->is_stuck(bench.at(6001)));
}

TEST_CASE("a user is asked now and then, not each time", "[channel]") {
    WatchdogBench bench;
    std::size_t questions = 0;
    for (int ms = 0; ms < 1000; ++ms) {
        CHECK_FALSE(bench.watchdog->is_stuck(bench.at(ms)));
        questions += bench.run_user();
    }
    CHECK(questions == 10);
}

TEST_CASE("a user that reads frames is not stuck, although it has not answered yet", "[channel]") {
    WatchdogBench bench;
    CHECK_FALSE(bench.watchdog->is_stuck(bench.at(0)));
    bench.watchdog->saw_user(bench.at(5000));
    CHECK_FALSE(bench.watchdog->is_stuck(bench.at(10999)));
    CHECK(bench.watchdog->is_stuck(bench.at(11000)));
}

TEST_CASE("an answer that comes when nobody asks any more does nothing", "[channel]") {
    WatchdogBench bench;
    CHECK_FALSE(bench.watchdog->is_stuck(bench.at(0)));
    bench.watchdog.reset();
    CHECK(bench.run_user() == 1);
}
