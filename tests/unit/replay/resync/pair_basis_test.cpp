// SPDX-License-Identifier: Apache-2.0
#include "replay/resync/pair_basis.h"

#include <catch2/catch.hpp>

using namespace fmvm::replay;

namespace {

// Serial, the other's as it was heard, steps, the other's.
constexpr PairProgress primary{5, 3, 10, 8};
constexpr PairProgress backup{3, 5, 8, 10};

PairProgress with(PairProgress progress, std::uint64_t PairProgress::*field, std::uint64_t value) {
    progress.*field = value;
    return progress;
}

}  // namespace

TEST_CASE("two sides are a pair when each is where the other knows it, or further") {
    CHECK(basis_of_pair(primary, backup) == PairBasis::pair);
    // What they did last was not heard.
    CHECK(basis_of_pair(primary, {9, 5, 9, 10}) == PairBasis::pair);
    CHECK(basis_of_pair({9, 3, 11, 8}, backup) == PairBasis::pair);
    // Both hosts were started again.
    CHECK(basis_of_pair(with(primary, &PairProgress::sent, PairProgress::lost),
                        with(backup, &PairProgress::sent, PairProgress::lost)) == PairBasis::pair);
}

TEST_CASE("a side that is behind what the other knows of it is told from the other") {
    CHECK(basis_of_pair(primary, with(backup, &PairProgress::sent, 7)) == PairBasis::backup_behind);
    CHECK(basis_of_pair(primary, with(backup, &PairProgress::serial, 2)) ==
          PairBasis::backup_behind);
    CHECK(basis_of_pair(with(primary, &PairProgress::sent, 9), backup) ==
          PairBasis::primary_behind);
    CHECK(basis_of_pair({4, 3, PairProgress::lost, 8}, backup) == PairBasis::primary_behind);
}

TEST_CASE("only an image that is behind is a reason that has to be told") {
    CHECK(why_all(PairBasis::pair) == nullptr);
    CHECK(why_all(PairBasis::strangers) == nullptr);
    CHECK(std::string(why_all(PairBasis::backup_behind)).find("the backup's image is older") == 0);
    CHECK(std::string(why_all(PairBasis::primary_behind)).find("the primary's image is older") ==
          0);
}
