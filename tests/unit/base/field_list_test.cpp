// SPDX-License-Identifier: Apache-2.0
#include "base/field_list.h"

#include <catch2/catch.hpp>

namespace fmvm::example {

enum class Colour : std::uint8_t { red = 0, green = 1 };

struct Point {
    std::uint16_t x = 0;
    std::uint16_t y = 0;
    bool operator==(const Point&) const = default;
};

struct Everything {
    std::uint8_t byte = 0;
    std::uint32_t word = 0;
    std::uint64_t number = 0;
    bool flag = false;
    Colour colour = Colour::red;
    std::array<std::uint8_t, 3> fixed{};
    std::vector<std::uint8_t> blob;
    std::string text;
    std::string reason;
    std::vector<Point> points;
    bool operator==(const Everything&) const = default;

    std::vector<std::uint8_t> encode() const;
    static Result<Everything> decode(std::span<const std::uint8_t> body);
};

void fields(auto& archive, FieldsOf<Point> auto& point) {
    archive.u16(point.x);
    archive.u16(point.y);
}

void fields(auto& archive, FieldsOf<Everything> auto& all) {
    archive.u8(all.byte);
    archive.u32(all.word);
    archive.u64(all.number);
    archive.flag(all.flag);
    archive.enumeration(all.colour, Colour::green);
    archive.raw(all.fixed);
    archive.blob(all.blob, 4);
    archive.text(all.text, 5);
    archive.readable_text(all.reason, 6);
    archive.list(all.points, {.element_bytes_min = 4, .count_max = 3, .count_min = 1},
                 [](auto& element, auto& point) { fields(element, point); });
    archive.check(all.byte != 0);
}

FMVM_CODEC_BY_FIELDS(Everything, "everything")

Everything sample() {
    return {1, 2, 3, true, Colour::green, {4, 5, 6}, {7, 8}, "text", "why", {{9, 10}, {11, 12}}};
}

// Whether a sample that was changed so is refused.
bool refuses(auto change) {
    Everything all = sample();
    change(all);
    return !Everything::decode(all.encode()).ok();
}

TEST_CASE("one list of fields encodes a message and decodes it again", "[base]") {
    const auto body = sample().encode();
    CHECK(body == std::vector<std::uint8_t>{1, 2, 0,   0,   0,   3,   0,  0, 0,  0, 0,   0,   0,
                                            1, 1, 4,   5,   6,   2,   0,  0, 0,  7, 8,   4,   0,
                                            0, 0, 't', 'e', 'x', 't', 3,  0, 0,  0, 'w', 'h', 'y',
                                            2, 0, 0,   0,   9,   0,   10, 0, 11, 0, 12,  0});
    CHECK(Everything::decode(body).value() == sample());
}

TEST_CASE("a message that is too short or too long is refused by its name", "[base]") {
    auto body = sample().encode();
    for (std::size_t length = 0; length < body.size(); ++length)
        CHECK_FALSE(Everything::decode(std::span(body).first(length)).ok());
    body.push_back(0);
    CHECK(Everything::decode(body).error().message() == "a malformed everything message");
}

TEST_CASE("fields beyond their limits are refused", "[base]") {
    CHECK_FALSE(refuses([](Everything&) {}));
    CHECK(refuses([](Everything& all) { all.byte = 0; }));
    CHECK(refuses([](Everything& all) { all.colour = static_cast<Colour>(2); }));
    CHECK_FALSE(refuses([](Everything& all) { all.blob.resize(4); }));
    CHECK(refuses([](Everything& all) { all.blob.resize(5); }));
    CHECK(refuses([](Everything& all) { all.text = "longer"; }));
    CHECK(refuses([](Everything& all) { all.points.clear(); }));
    CHECK_FALSE(refuses([](Everything& all) { all.points.resize(3); }));
    CHECK(refuses([](Everything& all) { all.points.resize(4); }));
}

TEST_CASE("a count that the message cannot hold allocates nothing", "[base]") {
    auto body = sample().encode();
    const std::size_t count_at = body.size() - 2 * 4 - 4;
    std::fill_n(body.begin() + static_cast<std::ptrdiff_t>(count_at), 4, std::uint8_t{0xff});
    CHECK_FALSE(Everything::decode(body).ok());
}

TEST_CASE("text for people is cut and cleaned when it leaves, and checked when it comes",
          "[base]") {
    Everything all = sample();
    all.reason = "\x1b[2J and more";
    auto body = all.encode();
    CHECK(Everything::decode(body).value().reason == "?[2J a");
    const auto escape = std::find(body.begin(), body.end(), '?');
    REQUIRE(escape != body.end());
    for (const unsigned byte : {0x1bU, 0x7fU, 0x80U, 0x9bU, 0xe2U, 0xffU}) {
        *escape = static_cast<std::uint8_t>(byte);
        CHECK_FALSE(Everything::decode(body).ok());
    }
}

}  // namespace fmvm::example
