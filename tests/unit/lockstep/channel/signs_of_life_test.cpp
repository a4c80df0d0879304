// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/signs_of_life.h"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <optional>

using namespace fmvm;
using namespace fmvm::lockstep;
using std::chrono::milliseconds;

namespace {

struct SignsBench {
    void begin(milliseconds interval) {
        signs->begin(Heartbeat(interval, Heartbeat::Role::leads, Clock::now()));
    }
    // Turns the loop until the condition holds; false when that takes too long.
    template <typename Condition>
    bool run_until(Condition condition) {
        for (const auto limit = Clock::now() + std::chrono::seconds(20);
             !condition() && Clock::now() < limit;) {
            loop.restart();
            loop.run_one_for(milliseconds(10));
        }
        return condition();
    }

    using Clock = std::chrono::steady_clock;
    boost::asio::io_context loop{1};
    int looks = 0;
    int due = 0;
    std::optional<SignsOfLife> signs{std::in_place, loop.get_executor(),
                                     [this](Heartbeat::TimePoint now, bool is_due) {
                                         ++looks;
                                         if (!is_due) return;
                                         ++due;
                                         signs->sent(now);
                                     }};
};

}  // namespace

TEST_CASE("signs of life are due again and again while nothing else is sent", "[channel]") {
    SignsBench bench;
    bench.begin(milliseconds(4));
    CHECK(bench.run_until([&] { return bench.due >= 5; }));
}

TEST_CASE("nothing is owed before the beginning and after the end", "[channel]") {
    SignsBench bench;
    bench.signs->sent(SignsBench::Clock::now());
    CHECK(bench.looks == 0);
    CHECK_FALSE(bench.signs->owes_answer(SignsBench::Clock::now() + std::chrono::hours(1)));
    bench.begin(milliseconds(4));
    bench.signs->end();
    const int looks = bench.looks;
    bench.loop.restart();
    bench.loop.run_for(milliseconds(50));
    bench.signs->sent(SignsBench::Clock::now());
    CHECK(bench.looks == looks);
    CHECK(bench.due == 0);
}

TEST_CASE("a timer that goes off when its signs of life are gone does nothing", "[channel]") {
    SignsBench bench;
    bench.begin(milliseconds(1));
    bench.signs.reset();
    bench.loop.run_for(milliseconds(20));
    CHECK(bench.looks == 0);
}

TEST_CASE("what is sent is looked at, but not each time", "[channel]") {
    SignsBench bench;
    const auto begun = SignsBench::Clock::now();
    bench.begin(std::chrono::hours(1));
    for (int i = 0; i < 1000; ++i)
        bench.signs->sent(begun + std::chrono::minutes(1));
    CHECK(bench.looks == 0);
    bench.signs->sent(begun + std::chrono::minutes(16));
    bench.signs->sent(begun + std::chrono::minutes(17));
    CHECK(bench.looks == 1);
    CHECK(bench.due == 0);
}
