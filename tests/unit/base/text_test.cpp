// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <catch2/catch.hpp>
#include <string>

using namespace fmvm;

TEST_CASE("text: a stranger's is printable ASCII only", "[base]") {
    CHECK(printable_ascii("plain ~ text") == "plain ~ text");
    CHECK(printable_ascii("a\x1b[2Jb\n\x7f") == "a?[2Jb??");
    CHECK(printable_ascii("C1 \x9b 2J, \xc2\x9b, right to left \xe2\x80\xae") ==
          "C1 ? 2J, ??, right to left ???");
    CHECK(is_printable_ascii("abc ~"));
    CHECK_FALSE(is_printable_ascii("\xc3\xa9"));
}

TEST_CASE("text: control characters do not reach a terminal", "[base]") {
    CHECK(without_controls("plain, \xc3\xa9 too") == "plain, \xc3\xa9 too");
    CHECK(without_controls(std::string("a\x1b[2Jb\nc\x7f\0d", 11)) == "a?[2Jb?c??d");
    CHECK(without_controls("a\x9b"
                           "2J b\xc2\x9b"
                           "2J \xc2\x80\xc2\x9f\xc2\xa0") == "a?2J b?2J ??\xc2\xa0");
    CHECK(without_controls("").empty());
}

TEST_CASE("text: marks of direction do not change how a line reads", "[base]") {
    for (const char* const mark :
         {"\xe2\x80\xae", "\xe2\x80\xaa", "\xe2\x81\xa6", "\xe2\x81\xa9", "\xe2\x80\x8e",
          "\xe2\x80\x8f", "\xd8\x9c", "\xe2\x80\xa8", "\xe2\x80\xa9"})
        CHECK(without_controls(std::string("gpj") + mark + "exe") == "gpj?exe");
    CHECK(without_controls("\xe2\x80\x9cquoted\xe2\x80\x9d") == "\xe2\x80\x9cquoted\xe2\x80\x9d");
}

TEST_CASE("text: what is not UTF-8 does not pass, and takes nothing else with it", "[base]") {
    CHECK(without_controls("\xf0\x9f\x98\x80") == "\xf0\x9f\x98\x80");
    CHECK(without_controls("\xc3"
                           "b") == "?b");           // cut short
    CHECK(without_controls("b\xe2\x80") == "b??");  // at the end
    CHECK(without_controls("\xc0\x9b") == "??");    // not the shortest form
    CHECK(without_controls("\xe0\x82\x9b") == "???");
    CHECK(without_controls("\xed\xa0\x80") == "???");       // a surrogate
    CHECK(without_controls("\xf4\x90\x80\x80") == "????");  // above U+10FFFF
    CHECK(without_controls("\xff\xfe") == "??");
}
