// SPDX-License-Identifier: Apache-2.0
#include "node/run/occurrence.h"

#include <catch2/catch.hpp>
#include <vector>

using fmvm::node::Occurrence;

TEST_CASE("an occurrence is told once, the first time", "[run]") {
    Occurrence<int> occurrence;
    std::vector<int> told;
    occurrence.listen([&](int value) { told.push_back(value); });
    CHECK_FALSE(occurrence.value());
    occurrence.happen(1);
    occurrence.happen(2);
    CHECK(told == std::vector<int>{1});
    CHECK(occurrence.value() == 1);
}

TEST_CASE("an occurrence is told to whoever listens later", "[run]") {
    Occurrence<int> occurrence;
    std::vector<int> told;
    occurrence.happen(1);
    occurrence.listen([&](int value) { told.push_back(value); });
    CHECK(told == std::vector<int>{1});
}

TEST_CASE("an occurrence is not told to whoever has stopped listening", "[run]") {
    Occurrence<int> occurrence;
    occurrence.listen([](int) { FAIL("nobody listens"); });
    occurrence.stop_listening();
    occurrence.happen(1);
    CHECK(occurrence.value() == 1);
}
