// SPDX-License-Identifier: Apache-2.0
#include "lockstep/wire/frame_codec.h"

#include <fmt/ranges.h>
#include <xxhash.h>

#include <catch2/catch.hpp>
#include <random>

#include "support/documented_tables.h"

using namespace fmvm;
using namespace fmvm::lockstep;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes make_frame(FrameType type, std::uint64_t sequence, const Bytes& body) {
    const FrameHeader header = make_frame_header(type, sequence, body);
    Bytes bytes(header.begin(), header.end());
    bytes.insert(bytes.end(), body.begin(), body.end());
    return bytes;
}

Bytes random_body(std::size_t size) {
    std::mt19937 random(static_cast<unsigned>(size));
    Bytes body(size);
    for (std::uint8_t& byte : body)
        byte = static_cast<std::uint8_t>(random());
    return body;
}

// Feeds all of it; the frames that came out, or the first error.
Result<std::vector<Frame>> feed_all(FrameDecoder& decoder, std::span<const std::uint8_t> bytes) {
    std::vector<Frame> frames;
    while (!bytes.empty()) {
        std::optional<Frame> frame = FMVM_TRY(decoder.feed(bytes));
        if (frame) frames.push_back(std::move(*frame));
    }
    return frames;
}

std::string error_of(std::span<const std::uint8_t> bytes) {
    FrameDecoder decoder;
    const auto result = feed_all(decoder, bytes);
    return result.ok() ? "" : result.error().message();
}

// A header with one field overwritten and a digest that fits.
template <typename T>
Bytes forged_header(std::size_t offset, T value) {
    Bytes bytes = make_frame(FrameType::heartbeat, 0, {});
    std::memcpy(bytes.data() + offset, &value, sizeof value);
    const std::uint64_t digest = XXH3_64bits(bytes.data(), 32);
    std::memcpy(bytes.data() + 32, &digest, sizeof digest);
    return bytes;
}

}  // namespace

TEST_CASE("a frame header keeps its form on the wire") {
    const FrameHeader header = make_frame_header(FrameType::commit, 5, Bytes{1, 2, 3});
    CHECK(fmt::format("{:02x}", fmt::join(header, "")) ==
          "464d564c030007000300000000000000"
          "05000000000000003b73ae32769bceeb"
          "10dfdc8c9e8420c7");
}

TEST_CASE("frames: the header is as documented", "[frames]") {
    const Bytes body{1, 2, 3};
    const Bytes bytes = make_frame(FrameType::commit, 0x0102030405060708, body);
    CHECK(std::string(bytes.begin(), bytes.begin() + 4) == "FMVL");
    CHECK(Bytes(bytes.begin() + 4, bytes.begin() + 24) ==
          Bytes{3, 0, 7, 0, 3, 0, 0, 0, 0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1});
    std::uint64_t digests[2];
    std::memcpy(digests, bytes.data() + 24, sizeof digests);
    CHECK(digests[0] == XXH3_64bits(body.data(), body.size()));
    CHECK(digests[1] == XXH3_64bits(bytes.data(), 32));
}

TEST_CASE("frames: a header names its type before anything of it is checked", "[frames]") {
    FrameHeader header = make_frame_header(FrameType::join, 0, {});
    header.back() ^= 1;  // of its digest
    CHECK(type_in(header) == FrameType::join);
    header[0] = 'X';
    CHECK(type_in(header) == FrameType::invalid);
}

TEST_CASE("frames: go out and come in", "[frames]") {
    FrameDecoder decoder;
    std::uint64_t sequence = 0;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{4096},
                                   frame_body_max, std::size_t{0}, std::size_t{77}}) {
        const Bytes body = random_body(size);
        const auto frames = feed_all(decoder, make_frame(FrameType::pages, sequence++, body));
        REQUIRE(frames.ok());
        REQUIRE(frames.value().size() == 1);
        CHECK(frames.value()[0].type == FrameType::pages);
        CHECK(std::ranges::equal(frames.value()[0].body, body));
    }
}

TEST_CASE("frames: split at every byte", "[frames]") {
    Bytes stream;
    for (std::uint64_t i = 0; i < 4; ++i) {
        const Bytes frame = make_frame(FrameType::output, i, random_body(i * 13));
        stream.insert(stream.end(), frame.begin(), frame.end());
    }
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
        FrameDecoder decoder;
        const auto first = feed_all(decoder, std::span(stream).first(cut));
        const auto second = feed_all(decoder, std::span(stream).subspan(cut));
        REQUIRE(first.ok());
        REQUIRE(second.ok());
        REQUIRE(first.value().size() + second.value().size() == 4);
        const Frame& last = second.value().empty() ? first.value()[3] : second.value().back();
        CHECK(std::ranges::equal(last.body, random_body(39)));
    }
}

TEST_CASE("frames: filled in place, in whatever pieces come", "[frames]") {
    const Bytes bytes = make_frame(FrameType::state, 0, random_body(500));
    FrameDecoder decoder;
    std::size_t at = 0;
    std::optional<Frame> frame;
    while (!frame) {
        const std::span<std::uint8_t> space = decoder.space();
        REQUIRE(space.size() == decoder.wanted());
        REQUIRE(!space.empty());
        const std::size_t count = std::min<std::size_t>(space.size(), 7);
        REQUIRE(at + count <= bytes.size());
        std::memcpy(space.data(), bytes.data() + at, count);
        at += count;
        frame = decoder.received(count).value();
    }
    CHECK(at == bytes.size());
    CHECK(std::ranges::equal(frame->body, random_body(500)));
    CHECK(decoder.wanted() == frame_header_size);
}

TEST_CASE("frames: every flipped bit is noticed", "[frames]") {
    const Bytes good = make_frame(FrameType::ack, 0, random_body(24));
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        Bytes bad = good;
        bad[bit / 8] = static_cast<std::uint8_t>(bad[bit / 8] ^ 1U << bit % 8);
        FrameDecoder decoder;
        const auto frames = feed_all(decoder, bad);
        if (frames.ok()) FAIL("bit " << bit << " was not noticed");
    }
    CHECK(error_of(good).empty());
}

TEST_CASE("frames: a frame lost, repeated or out of turn is noticed", "[frames]") {
    for (const std::uint64_t wrong : {std::uint64_t{0}, std::uint64_t{2}, ~std::uint64_t{0}}) {
        FrameDecoder decoder;
        REQUIRE(feed_all(decoder, make_frame(FrameType::heartbeat, 0, {})).ok());
        const auto second = feed_all(decoder, make_frame(FrameType::heartbeat, wrong, {}));
        REQUIRE_FALSE(second.ok());
        CHECK(second.error().message() == fmt::format("frame {} came where 1 was due", wrong));
    }
}

TEST_CASE("frames: headers that are whole and wrong", "[frames]") {
    CHECK(error_of(forged_header<std::uint32_t>(0, 0x4c564d47)).find("does not speak fmvm's") !=
          std::string::npos);
    CHECK(error_of(forged_header<std::uint16_t>(4, 4)) ==
          "it speaks protocol version 4, this fmvm speaks 3");
    CHECK(error_of(forged_header<std::uint16_t>(4, 0)).find("version 0") != std::string::npos);
    CHECK(error_of(forged_header<std::uint16_t>(6, 0)) == "a frame header is malformed");
    CHECK(error_of(forged_header<std::uint32_t>(12, 1)) == "a frame header is malformed");
    CHECK(error_of(forged_header<std::uint32_t>(8, frame_body_max + 1)) ==
          fmt::format("a frame of {} bytes is too long", frame_body_max + 1));
    CHECK(error_of(forged_header<std::uint32_t>(8, 0xffffffff)).find("too long") !=
          std::string::npos);
    CHECK(error_of(forged_header<std::uint64_t>(24, 1)) == "a frame body is damaged");
}

TEST_CASE("frames: types that this version does not know come through", "[frames]") {
    FrameDecoder decoder;
    const auto type = static_cast<FrameType>(optional_frame_bit | 99);
    const auto frames = feed_all(decoder, make_frame(type, 0, {1, 2}));
    REQUIRE(frames.ok());
    CHECK(frames.value()[0].type == type);
}

TEST_CASE("frames: another program's greeting is told apart at once", "[frames]") {
    const std::string text = "GET / HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n";
    CHECK(error_of({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}) ==
          "it does not speak fmvm's protocol");
}

TEST_CASE("frames: their types are named as the documentation names them", "[frames]") {
    const auto is_known = [](std::size_t type) {
        return name_of(static_cast<FrameType>(type)) != std::string("unknown");
    };
    std::size_t known = 0;
    for (std::size_t type = 1; type < 2U * optional_frame_bit; ++type)
        known += is_known(type);
    const auto rows = test::documented_table("protocol.md", "Messages", "#");
    CHECK(rows.size() == known);
    for (const auto& cells : rows) {
        const bool optional = cells.at(0).find("optional") != std::string::npos;
        const auto type = std::stoul(cells.at(0)) | (optional ? optional_frame_bit : 0);
        CHECK(name_of(static_cast<FrameType>(type)) == cells.at(1));
    }
}
