// SPDX-License-Identifier: Apache-2.0
#include "replay/image/pair_progress.h"

#include <array>
#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::replay;

namespace {

constexpr LabelId first_pair{2};
constexpr LabelId second_pair{4};

struct Page {
    std::array<std::uint64_t, ProgressPage::word_count> words{};
    ProgressPage page{words};
};

}  // namespace

TEST_CASE("a page that was never written speaks of no pair, not even of none") {
    Page side;
    side.words.fill(7);
    side.words[0] = 0;
    CHECK(side.page.under({}) == PairProgress{});
    CHECK(side.page.under(first_pair) == PairProgress{});
}

TEST_CASE("progress is that of one pair: another one begins without any") {
    Page side;
    side.page.begin(first_pair);
    side.page.count_sent();
    side.page.count_heard();
    side.page.count_heard();
    side.page.advance_serial();
    side.page.hear_serial(7);
    CHECK(side.page.under(first_pair) == PairProgress{1, 7, 1, 2});
    CHECK(side.page.under(second_pair) == PairProgress{});
    side.page.begin(second_pair);
    CHECK(side.page.under(second_pair) == PairProgress{});
    CHECK(side.page.under(first_pair) == PairProgress{});
}

TEST_CASE("steps that were lost with the host are more than anybody heard, the rest is kept") {
    Page side;
    side.page.begin(first_pair);
    side.page.count_heard();
    side.page.advance_serial();
    side.page.lose_steps(first_pair);
    CHECK(side.page.under(first_pair) == PairProgress{1, 0, PairProgress::lost, 1});
    // The page had not reached the disk, and speaks of a pair before.
    side.page.lose_steps(second_pair);
    CHECK(side.page.under(second_pair) == PairProgress{0, 0, PairProgress::lost, 0});
}
