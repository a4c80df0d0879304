// SPDX-License-Identifier: Apache-2.0
#include "node/console/escape_parser.h"

#include <catch2/catch.hpp>
#include <string>

using fmvm::node::EscapeParser;

namespace {

struct Typed {
    std::string guest;
    bool help = false;
    bool quit = false;
    bool operator==(const Typed&) const = default;
};

Typed feed(EscapeParser& parser, std::string_view bytes) {
    const auto result =
        parser.feed({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
    return {std::string(result.guest_bytes.begin(), result.guest_bytes.end()), result.help,
            result.quit};
}

Typed feed(std::string_view bytes) {
    EscapeParser parser;
    return feed(parser, bytes);
}

}  // namespace

TEST_CASE("escape: everything else goes to the guest unchanged") {
    CHECK(feed("") == Typed{});
    const std::string all_but_ctrl_a("\0\x02\x03\x1b\x7f\xff\r\nabc", 11);
    CHECK(feed(all_but_ctrl_a) == Typed{all_but_ctrl_a});
}

TEST_CASE("escape: the commands") {
    CHECK(feed("ab\x01x") == Typed{"ab", false, true});
    CHECK(feed("a\x01h"
               "b") == Typed{"ab", true, false});
    CHECK(feed("a\x01"
               "ab") == Typed{"a\x01"
                              "b"});
    CHECK(feed("a\x01\x01"
               "b") == Typed{"a\x01"
                             "b"});
    CHECK(feed("a\x01qb") == Typed{"ab"});
    CHECK(feed("\x01\x01x") == Typed{"\x01x"});
    CHECK(feed("\x01x\x01hmore") == Typed{"", false, true});
}

TEST_CASE("escape: across reads") {
    EscapeParser parser;
    CHECK(feed(parser, "a\x01") == Typed{"a"});
    CHECK(feed(parser, "") == Typed{});
    CHECK(feed(parser, "\x01") == Typed{"\x01"});
    CHECK(feed(parser, "x\x01") == Typed{"x"});
    CHECK(feed(parser, "h\x01") == Typed{"", true, false});
    CHECK(feed(parser, "x") == Typed{"", false, true});
}
