// SPDX-License-Identifier: Apache-2.0
#include "replay/resync/resync_messages.h"

#include <catch2/catch.hpp>
#include <functional>
#include <random>

#include "replay/scrub/scrub_messages.h"
#include "support/wire_form.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

namespace {

using Bytes = std::vector<std::uint8_t>;

BlockSet set_of(std::uint64_t bound, std::initializer_list<BlockIndex> blocks) {
    BlockSet set(bound);
    for (const BlockIndex block : blocks)
        set.insert(block);
    return set;
}

std::vector<BlockIndex> list(const BlockSet& set) {
    std::vector<BlockIndex> blocks;
    set.for_each([&](BlockIndex block) { blocks.push_back(block); });
    return blocks;
}

// A body that decodes, encodes to itself again; one that is cut short or has more behind it does
// not decode; and whatever stands in it, decoding comes to an end.
template <typename T>
void check_body(const T& message) {
    const Bytes body = message.encode();
    REQUIRE(T::decode(body).ok());
    CHECK(T::decode(body).value().encode() == body);
    for (std::size_t length = 0; length < body.size(); ++length)
        CHECK_FALSE(T::decode(std::span(body).first(length)).ok());
    Bytes longer = body;
    longer.push_back(0);
    CHECK_FALSE(T::decode(longer).ok());
    std::mt19937_64 random(body.size());
    for (int i = 0; i < 2000; ++i) {
        Bytes damaged = body;
        for (auto times = random() % 4 + 1; times != 0; --times)
            damaged[random() % damaged.size()] = static_cast<std::uint8_t>(random());
        const Result<T> result = T::decode(damaged);
        if (result.ok()) CHECK(result.value().encode() == damaged);
    }
}

}  // namespace

TEST_CASE("messages about disks keep their form on the wire") {
    const PackedBlocks some{2, {0x21, 0x80}};
    check_wire_form(KnownMessage{3,
                                 65'536'000,
                                 true,
                                 {1, 0xff},
                                 {2},
                                 DiskRole::syncing,
                                 {5, 6, 7, 8},
                                 some,
                                 {0, {0x03}}},
                    "03 0000e80300000000 01"
                    "01ff0000000000000000000000000000 02000000000000000000000000000000 03"
                    "0500000000000000 0600000000000000 0700000000000000 0800000000000000"
                    "02 02000000 2180 00 01000000 03");
    check_wire_form(BeginMessage{3, 65'536'000, {2}, PairBasis::primary_behind, some},
                    "03 0000e80300000000 02000000000000000000000000000000 03 02 02000000 2180");
    check_wire_form(ReadyMessage{3}, "03");
    check_wire_form(ChunkDigestsMessage{3, 9, {{1, 2}, {4, 5}}},
                    "03 0900000000000000 02000000"
                    "0100000000000000 0200000000000000"
                    "0400000000000000 0500000000000000");
    check_wire_form(WantedMessage{3, 9, {1, 4}},
                    "03 0900000000000000 02000000 0100000000000000 0400000000000000");
    check_wire_form(BlocksMessage{3,
                                  9,
                                  {{1, BlockEncoding::zero, {}},
                                   {2, BlockEncoding::raw, {1, 2}},
                                   {7, BlockEncoding::lz4, {3}}}},
                    "03 0900000000000000 03000000"
                    "0100000000000000 00 00000000"
                    "0200000000000000 01 02000000 0102"
                    "0700000000000000 02 01000000 03");
    check_wire_form(DoneMessage{3, 9}, "03 0900000000000000");
    check_wire_form(SerialMessage{3, 9}, "03 0900000000000000");
    check_wire_form(CheckMessage{7, 1000, 3, {{4, 5}, {1, 2}}},
                    "0700000000000000 e803000000000000 03 02000000"
                    "0400000000000000 0500000000000000"
                    "0100000000000000 0200000000000000");
    check_wire_form(CheckedMessage{7}, "0700000000000000");
}

TEST_CASE("resync messages survive encoding, and no other bytes are taken for them") {
    const PackedBlocks some = PackedBlocks::pack(set_of(1000, {0, 5, 999}));
    check_body(
        KnownMessage{3, 65'536'000, true, {1}, {2}, DiskRole::syncing, {5, 6, 7, 8}, some, some});
    check_body(BeginMessage{3, 65'536'000, {2}, PairBasis::backup_behind, some});
    check_body(ReadyMessage{3});
    check_body(ChunkDigestsMessage{3, 9, {{1, 2}, {4, 5}}});
    check_body(WantedMessage{3, 9, {1, 4}});
    check_body(BlocksMessage{3,
                             9,
                             {{1, BlockEncoding::zero, {}},
                              {2, BlockEncoding::raw, {1, 2}},
                              {7, BlockEncoding::lz4, {3}}}});
    check_body(DoneMessage{3, 9});
    check_body(SerialMessage{3, 9});
    check_body(CheckMessage{7, 1000, 3, {{4, 5}, {1, 2}, {4, 5}}});
    check_body(CheckedMessage{7});
}

TEST_CASE("lists that are empty, too long or out of order are refused") {
    CHECK_FALSE(ChunkDigestsMessage::decode(ChunkDigestsMessage{0, 1, {}}.encode()).ok());
    CHECK_FALSE(WantedMessage::decode(WantedMessage{0, 1, {}}.encode()).ok());
    CHECK_FALSE(BlocksMessage::decode(BlocksMessage{0, 1, {}}.encode()).ok());
    WantedMessage wanted{0, 1, {}};
    for (BlockIndex block = 0; block < chunk_blocks_max; ++block)
        wanted.blocks.push_back(block);
    CHECK(WantedMessage::decode(wanted.encode()).ok());
    wanted.blocks.push_back(chunk_blocks_max);
    CHECK_FALSE(WantedMessage::decode(wanted.encode()).ok());
    CHECK_FALSE(WantedMessage::decode(WantedMessage{0, 1, {4, 4}}.encode()).ok());
    CHECK_FALSE(WantedMessage::decode(WantedMessage{0, 1, {4, 3}}.encode()).ok());
    CHECK_FALSE(
        ChunkDigestsMessage::decode(ChunkDigestsMessage{0, 1, {{4, 0}, {4, 0}}}.encode()).ok());
}

TEST_CASE("checks of no block, or of too many, are refused") {
    CheckMessage check{1, 2, 0, {}};
    CHECK_FALSE(CheckMessage::decode(check.encode()).ok());
    check.blocks.resize(check_blocks_max);
    CHECK(CheckMessage::decode(check.encode()).ok());
    check.blocks.resize(check_blocks_max + 1);
    CHECK_FALSE(CheckMessage::decode(check.encode()).ok());
    // A count that would be gigabytes, without them.
    Bytes body = CheckMessage{1, 2, 0, {{1, 2}}}.encode();
    std::fill(body.begin() + 17, body.begin() + 21, std::uint8_t{0xff});
    CHECK_FALSE(CheckMessage::decode(body).ok());
}

TEST_CASE("payloads that do not fit their encoding are refused") {
    const auto body = [](BlockEncoding encoding, std::size_t size) {
        return BlocksMessage{0, 1, {{1, encoding, Bytes(size)}}}.encode();
    };
    CHECK_FALSE(BlocksMessage::decode(body(BlockEncoding::zero, 1)).ok());
    CHECK_FALSE(BlocksMessage::decode(body(BlockEncoding::raw, 0)).ok());
    CHECK_FALSE(BlocksMessage::decode(body(BlockEncoding::lz4, 0)).ok());
    CHECK(BlocksMessage::decode(body(BlockEncoding::raw, disk_block_bytes)).ok());
    CHECK_FALSE(BlocksMessage::decode(body(BlockEncoding::raw, disk_block_bytes + 1)).ok());
    CHECK_FALSE(BlocksMessage::decode(body(static_cast<BlockEncoding>(3), 1)).ok());
}

TEST_CASE("a pair id of none begins nothing") {
    CHECK_FALSE(BeginMessage::decode(BeginMessage{0, 512, {}, {}, {}}.encode()).ok());
}

TEST_CASE("sets of blocks are packed exactly") {
    std::mt19937_64 random(1);
    for (const std::uint64_t bound : {1, 7, 8, 9, 63, 64, 65, 1000}) {
        BlockSet set(bound);
        CHECK(list(PackedBlocks::pack(set).unpack(bound).value()).empty());
        for (BlockIndex block = 0; block < bound; ++block) {
            if (random() % 2 != 0) set.insert(block);
        }
        CHECK(list(PackedBlocks::pack(set).unpack(bound).value()) == list(set));
        set.insert_all();
        CHECK(PackedBlocks::pack(set).unpack(bound).value().size() == bound);
        CHECK(PackedBlocks::pack(set).shift == 0);
    }
}

TEST_CASE("a set too large for a message grows, but fits") {
    const std::uint64_t bound = PackedBlocks::bytes_max * 8 * 3;
    const PackedBlocks packed = PackedBlocks::pack(set_of(bound, {5, bound - 1}));
    CHECK(packed.shift == 2);
    CHECK(packed.bits.size() <= PackedBlocks::bytes_max);
    CHECK(list(packed.unpack(bound).value()) ==
          std::vector<BlockIndex>{4, 5, 6, 7, bound - 4, bound - 3, bound - 2, bound - 1});
    // An all too long one.
    PackedBlocks hostile{0, Bytes(PackedBlocks::bytes_max + 1)};
    CHECK_FALSE(
        BeginMessage::decode(BeginMessage{0, 512, {1}, PairBasis::pair, hostile}.encode()).ok());
}

TEST_CASE("sets that reach beyond the disk are refused") {
    CHECK(PackedBlocks{0, {0x80}}.unpack(8).ok());
    CHECK_FALSE(PackedBlocks{0, {0x80}}.unpack(7).ok());
    CHECK_FALSE(PackedBlocks{40, {0x02}}.unpack(8).ok());
    CHECK(PackedBlocks{40, {0x01}}.unpack(8).value().size() == 8);
    PackedBlocks far{40, Bytes(PackedBlocks::bytes_max)};
    far.bits.back() = 0x80;
    CHECK_FALSE(far.unpack(std::uint64_t{1} << 30).ok());
}

TEST_CASE("blocks are packed small and unpack to the same") {
    std::mt19937_64 random(2);
    Bytes noise(disk_block_bytes);
    for (std::uint8_t& byte : noise)
        byte = static_cast<std::uint8_t>(random());
    Bytes text(disk_block_bytes, 'a');
    text[100] = 'b';
    const auto check = [](const Bytes& bytes, BlockEncoding expected) {
        const PackedBlock packed = PackedBlock::pack(4, bytes);
        CHECK(packed.encoding == expected);
        CHECK(packed.payload.size() <= bytes.size());
        Bytes out(bytes.size(), 0xee);
        CHECK(packed.unpack(out));
        CHECK(out == bytes);
        // And to nothing else.
        Bytes shorter(bytes.size() - 1);
        CHECK((packed.encoding == BlockEncoding::zero || !packed.unpack(shorter)));
        Bytes longer(bytes.size() + 1);
        CHECK((packed.encoding == BlockEncoding::zero || !packed.unpack(longer)));
    };
    check(noise, BlockEncoding::raw);
    check(text, BlockEncoding::lz4);
    check(Bytes(disk_block_bytes), BlockEncoding::zero);
    check(Bytes(noise.begin(), noise.begin() + 512), BlockEncoding::raw);
    Bytes garbage(100, 0xff);
    Bytes out(disk_block_bytes);
    CHECK_FALSE(PackedBlock{0, BlockEncoding::lz4, garbage}.unpack(out));
}
