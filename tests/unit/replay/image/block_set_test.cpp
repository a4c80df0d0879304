// SPDX-License-Identifier: Apache-2.0
#include "replay/image/block_set.h"

#include <catch2/catch.hpp>

using namespace fmvm::replay;

TEST_CASE("runs of blocks lose exactly what others have") {
    CHECK(without({}, {{1, 2}}).empty());
    CHECK(without({{1, 5}}, {}) == BlockRuns{{1, 5}});
    CHECK(without({{1, 5}}, {{0, 9}}).empty());
    CHECK(without({{1, 5}}, {{5, 9}}) == BlockRuns{{1, 5}});
    CHECK(without({{1, 5}}, {{0, 1}}) == BlockRuns{{1, 5}});
    CHECK(without({{1, 5}}, {{2, 3}}) == BlockRuns{{1, 2}, {3, 5}});
    CHECK(without({{1, 5}, {6, 9}, {20, 30}}, {{4, 7}, {8, 25}, {26, 27}}) ==
          BlockRuns{{1, 4}, {7, 8}, {25, 26}, {27, 30}});
    CHECK(without({{0, 2}, {4, 6}}, {{1, 5}}) == BlockRuns{{0, 1}, {5, 6}});
}

TEST_CASE("a set takes and gives whole ranges of blocks") {
    for (const auto& [first, end] : {std::pair{0U, 1U},
                                     {0U, 64U},
                                     {63U, 65U},
                                     {64U, 128U},
                                     {5U, 300U},
                                     {7U, 7U},
                                     {299U, 300U}}) {
        CAPTURE(first, end);
        BlockSet set(300);
        set.insert_range(first, end);
        CHECK(set.size() == end - first);
        CHECK(set.next(0) == (first == end ? 300 : first));
        CHECK(set.next_absent(first) == end);
        CHECK(set.next_absent(0) == (first == 0 ? end : 0));
        set.insert_all();
        set.erase_range(first, end);
        CHECK(set.size() == 300 - (end - first));
        CHECK(set.next(first) == end);
        CHECK(set.next_absent(0) == (first == end ? 300 : first));
    }
}
