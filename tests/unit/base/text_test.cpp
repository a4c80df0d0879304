// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <catch2/catch.hpp>
#include <string>

using namespace fmvm;

TEST_CASE("text: control characters do not reach a terminal", "[base]") {
    CHECK(without_controls("plain, \xc3\xa9 too") == "plain, \xc3\xa9 too");
    CHECK(without_controls(std::string("a\x1b[2Jb\nc\x7f\0d", 11)) == "a?[2Jb?c??d");
    CHECK(without_controls("").empty());
}
