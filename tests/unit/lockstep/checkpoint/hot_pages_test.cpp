// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/hot_pages.h"

#include <catch2/catch.hpp>
#include <random>

using namespace fmvm;
using namespace fmvm::lockstep;

namespace {

constexpr PageIndex hot_page = 3;

// A dirty log of one page: what is not watched stays in it.
class HotPagesBench {
  public:
    explicit HotPagesBench(std::size_t hot_max = 10) : hot_(10, hot_max) {}
    void epoch(bool written) {
        ++epoch_;
        if (written && watched_) ++faults;
        if (written) watched_ = false;
        if (watched_) return;
        ++copied;
        watched_ = hot_.logged(hot_page, epoch_);
        hot_.compared(hot_page, written ? HotPages::Change::some : HotPages::Change::none);
    }
    bool is_hot() const { return !watched_; }
    unsigned faults = 0;
    unsigned copied = 0;

  private:
    HotPages hot_;
    EpochId epoch_ = 0;
    bool watched_ = true;
};

// Of a page that is written with this probability in each epoch.
HotPagesBench after_epochs(double probability, unsigned epochs) {
    HotPagesBench bench;
    std::mt19937 random(1);
    std::bernoulli_distribution written(probability);
    for (unsigned i = 0; i < epochs; ++i)
        bench.epoch(written(random));
    return bench;
}

}  // namespace

TEST_CASE("hot pages: written twice within a few epochs, a page is not watched again", "[hot]") {
    HotPagesBench bench;
    bench.epoch(true);
    CHECK_FALSE(bench.is_hot());
    for (unsigned i = 0; i < HotPages::hot_within - 1; ++i)
        bench.epoch(false);
    bench.epoch(true);
    CHECK(bench.is_hot());
}

TEST_CASE("hot pages: too long between two writes, and it is watched", "[hot]") {
    HotPagesBench bench;
    bench.epoch(true);
    for (unsigned i = 0; i < HotPages::hot_within; ++i)
        bench.epoch(false);
    bench.epoch(true);
    CHECK_FALSE(bench.is_hot());
}

TEST_CASE("hot pages: what does not change any more cools, and is watched", "[hot]") {
    HotPagesBench bench;
    for (unsigned i = 0; i < 100; ++i)
        bench.epoch(true);
    CHECK(bench.is_hot());
    CHECK(bench.faults == 2);
    unsigned idle = 0;
    for (; bench.is_hot() && idle < 100; ++idle)
        bench.epoch(false);
    CHECK(idle < 15);
}

TEST_CASE("hot pages: no more than their limit", "[hot]") {
    HotPagesBench bench(0);
    for (unsigned i = 0; i < 20; ++i)
        bench.epoch(true);
    CHECK_FALSE(bench.is_hot());
    CHECK(bench.faults == 20);
}

// A fault costs the guest some four times what copying and comparing costs.
TEST_CASE("hot pages: a page is hot while that is cheaper than faults", "[hot]") {
    constexpr unsigned epochs = 20000;
    const auto cost = [](const HotPagesBench& bench) { return 4 * bench.faults + bench.copied; };
    for (const double probability : {0.01, 0.05, 0.1, 0.17, 0.25, 0.4, 0.6, 0.9, 1.0}) {
        INFO("probability " << probability);
        const double always_hot = epochs;
        const double never_hot = 5 * probability * epochs;
        CHECK(cost(after_epochs(probability, epochs)) < 1.35 * std::min(always_hot, never_hot));
    }
    // Hot in every epoch, it would cost 20000.
    CHECK(after_epochs(0.1, epochs).copied < 5000);
}

namespace {

// Of `epochs` cuts of a hot page: how many compared it, which found `change` each time.
unsigned times_compared(HotPages& hot, unsigned epochs, HotPages::Change change) {
    unsigned compared = 0;
    for (unsigned i = 0; i < epochs; ++i) {
        if (hot.take_unseen(hot_page)) continue;
        hot.compared(hot_page, change);
        ++compared;
    }
    return compared;
}

HotPages with_hot_page() {
    HotPages hot(10, 10);
    hot.logged(hot_page, 1);
    hot.logged(hot_page, 2);
    return hot;
}

}  // namespace

TEST_CASE("hot pages: what is rewritten as a whole is hardly ever compared", "[hot]") {
    HotPages hot = with_hot_page();
    const unsigned learning = times_compared(hot, 10, HotPages::Change::rewritten);
    CHECK(learning >= 5);  // once or twice is no habit
    CHECK(times_compared(hot, 900, HotPages::Change::rewritten) < 110);
}

TEST_CASE("hot pages: of what is sent unseen, a copy is kept for when it is compared", "[hot]") {
    HotPages hot = with_hot_page();
    for (unsigned epoch = 0; epoch < 10 && hot.wants_copy(hot_page); ++epoch)
        hot.compared(hot_page, HotPages::Change::rewritten);
    CHECK_FALSE(hot.wants_copy(hot_page));
    while (!hot.wants_copy(hot_page))
        REQUIRE(hot.take_unseen(hot_page));
    CHECK_FALSE(hot.take_unseen(hot_page));
}

TEST_CASE("hot pages: what is rewritten now and then is compared each time", "[hot]") {
    // Sent unseen, it would travel in epochs that have not changed it.
    HotPages hot = with_hot_page();
    for (unsigned epoch = 0; epoch < 400; ++epoch) {
        INFO("epoch " << epoch);
        REQUIRE_FALSE(hot.take_unseen(hot_page));
        hot.compared(hot_page,
                     epoch % 3 == 0 ? HotPages::Change::rewritten : HotPages::Change::none);
    }
}

TEST_CASE("hot pages: what is no longer rewritten is compared each time", "[hot]") {
    HotPages hot = with_hot_page();
    times_compared(hot, 100, HotPages::Change::rewritten);
    unsigned unseen = 0;
    while (hot.take_unseen(hot_page))
        ++unseen;
    CHECK(unseen <= HotPages::unseen_max);
    const auto change = GENERATE(HotPages::Change::none, HotPages::Change::some);
    CHECK(times_compared(hot, 50, change) == 50);
    CHECK(hot.wants_copy(hot_page));
}

TEST_CASE("hot pages: what has cooled is looked at again from the start", "[hot]") {
    HotPages hot = with_hot_page();
    times_compared(hot, 100, HotPages::Change::none);
    CHECK(hot.logged(hot_page, 3));  // cooled
    CHECK_FALSE(hot.take_unseen(hot_page));
    CHECK(times_compared(hot, 10, HotPages::Change::rewritten) == 10);  // it is not hot
}

TEST_CASE("hot pages: a page goes through its states", "[hot]") {
    using State = HotPages::State;
    HotPages hot(10, 1);
    CHECK(hot.state(hot_page) == State::cold);
    CHECK(hot.logged(hot_page, 1));
    CHECK(hot.state(hot_page) == State::cold);
    CHECK_FALSE(hot.wants_copy(hot_page));
    CHECK_FALSE(hot.logged(hot_page, 2));
    CHECK(hot.state(hot_page) == State::hot);
    CHECK(hot.wants_copy(hot_page));

    const PageIndex other = 5;  // there is no room for another hot one
    CHECK(hot.logged(other, 2));
    CHECK(hot.logged(other, 3));
    CHECK(hot.state(other) == State::warm);
    CHECK(hot.wants_copy(other));
    CHECK(hot.logged(other, 4 + HotPages::hot_within));
    CHECK(hot.state(other) == State::cold);

    while (hot.state(hot_page) == State::hot)
        hot.compared(hot_page, HotPages::Change::rewritten);
    CHECK(hot.state(hot_page) == State::unseen);
    CHECK_FALSE(hot.wants_copy(hot_page));
    CHECK_FALSE(hot.logged(hot_page, 5 + HotPages::hot_within));
    SECTION("until it was sent unseen as often as it was rewritten") {
        while (hot.take_unseen(hot_page))
            CHECK(hot.state(hot_page) != State::cold);
        CHECK(hot.state(hot_page) == State::hot);
    }
    SECTION("or until a read has filled it") {
        hot.compared(hot_page, HotPages::Change::none);
        CHECK(hot.state(hot_page) == State::hot);
    }
    for (int epoch = 0; epoch < 20; ++epoch)
        hot.compared(hot_page, HotPages::Change::none);
    CHECK(hot.logged(hot_page, 6 + HotPages::hot_within));
    CHECK(hot.state(hot_page) == State::cold);
    CHECK_FALSE(hot.logged(other, 6 + HotPages::hot_within));  // now there is room
    CHECK(hot.state(other) == State::hot);
}
