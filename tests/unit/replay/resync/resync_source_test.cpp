// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <variant>

#include "base/digest.h"
#include "replay/resync/resync_source.h"
#include "replay/resync/resync_target.h"
#include "support/resync_pair.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

TEST_CASE("two disks that never met are compared as a whole; only what differs is copied") {
    ResyncPair pair;
    for (const BlockIndex block : {BlockIndex{0}, BlockIndex{77}, block_count - 1})
        pair.scribble(pair.source_image, block);
    pair.run();
    CHECK(pair.source_image.content == pair.target_image.content);
    CHECK(pair.target_image.reads == all_blocks());
    CHECK(pair.target_image.writes == Blocks{0, 77, block_count - 1});
    CHECK(pair.source_image.reads.size() == block_count + 3);
    CHECK(pair.source_map->dirty().size() == 0);
    CHECK(pair.target_map->dirty().size() == 0);
    const ResyncProgress& progress = pair.source->progress();
    CHECK(progress.blocks_total == block_count);
    CHECK(progress.blocks_done == block_count);
    CHECK(progress.bytes_copied == 3 * disk_block_bytes - 1024);
    CHECK(progress.bytes_equal == (block_count - 3) * disk_block_bytes);

    const DiskLabel label = pair.target_map->label();
    CHECK(label.role == DiskRole::syncing);  // following is the caller's to say
    CHECK(label.generation == 5);
    CHECK(label.disk == 2);
    CHECK(label.disks == 3);
    CHECK(label.origin == LabelId{4});
    CHECK(label.pair == pair.source_map->label().pair);
    CHECK(label.pair != LabelId{});
    CHECK(pair.source_map->label().offered == LabelId{});
}

TEST_CASE("a known pair looks at the union of the maps and at nothing else") {
    ResyncPair pair;
    pair.run();
    const LabelId old_pair = pair.source_map->label().pair;
    REQUIRE(pair.source_map->mark(3 * disk_block_bytes, 512).ok());
    pair.source_map->end_change(3 * disk_block_bytes, 512, false);
    pair.scribble(pair.source_image, 3);
    REQUIRE(pair.target_map->mark(200 * disk_block_bytes, 512).ok());
    pair.target_map->end_change(200 * disk_block_bytes, 512, false);
    pair.forget_io();
    pair.restart();
    pair.run();
    CHECK(pair.target_image.reads == Blocks{3, 200});
    CHECK(pair.target_image.writes == Blocks{3});
    CHECK(pair.source_image.reads == Blocks{3, 200, 3});
    CHECK(pair.source_image.content == pair.target_image.content);
    CHECK(pair.source_map->label().pair != old_pair);
    CHECK(pair.source_map->dirty().size() == 0);
    CHECK(pair.target_map->dirty().size() == 0);
}

TEST_CASE("a pair of equal disks has nothing to do") {
    ResyncPair pair;
    pair.run();
    pair.forget_io();
    pair.restart();
    pair.begin();
    CHECK(pair.source->finished());
    CHECK(pair.target->finished());
    CHECK_FALSE(pair.source->next().value());
    CHECK(pair.source_image.reads.empty());
}

TEST_CASE("another guest, another pair, or none: everything is looked at") {
    const auto blocks_looked_at = [](auto change) {
        ResyncPair pair;
        pair.run();
        DiskLabel label = pair.target_map->label();
        change(label);
        REQUIRE(pair.target_map->set_label(label).ok());
        pair.restart();
        return pair.source->begin(pair.target->known())
            .value()
            .blocks.unpack(block_count)
            .value()
            .size();
    };
    CHECK(blocks_looked_at([](DiskLabel&) {}) == 0);
    CHECK(blocks_looked_at([](DiskLabel& label) { label.vm[4] ^= 1; }) == block_count);
    CHECK(blocks_looked_at([](DiskLabel& label) { label.pair[4] ^= 1; }) == block_count);
    CHECK(blocks_looked_at([](DiskLabel& label) { label.pair = {}; }) == block_count);
    ResyncPair pair;
    pair.run();
    REQUIRE(pair.target_map->break_lineage(DiskRole::clean).ok());
    pair.restart();
    CHECK(pair.source->begin(pair.target->known())
              .value()
              .blocks.unpack(block_count)
              .value()
              .size() == block_count);
}

TEST_CASE("a pair of which one side is behind what the other knows is compared as a whole") {
    ResyncPair pair;
    pair.run();
    const LabelId with = pair.source_map->label().pair;
    const PairProgress source = pair.source_map->progress(with);
    const PairProgress target = pair.target_map->progress(with);
    CHECK(source.sent == target.heard);
    CHECK(target.sent == source.heard);
    CHECK(target.sent != 0);
    pair.restart();
    KnownMessage known = pair.target->known();
    CHECK(known.progress == target);
    --known.progress.sent;
    BeginMessage begin = pair.source->begin(known).value();
    CHECK(begin.basis == PairBasis::backup_behind);
    CHECK(begin.blocks.unpack(block_count).value().size() == block_count);
    pair.restart();
    known.progress = target;
    ++known.progress.heard;
    begin = pair.source->begin(known).value();
    CHECK(begin.basis == PairBasis::primary_behind);
    CHECK(pair.source->basis() == PairBasis::primary_behind);
    CHECK(begin.blocks.unpack(block_count).value().size() == block_count);
    pair.restart();
    known.progress = target;
    CHECK(pair.source->begin(known).value().basis == PairBasis::pair);
    known.pair = {9};
    pair.restart();
    CHECK(pair.source->begin(known).value().basis == PairBasis::strangers);
}

TEST_CASE("an interruption between begin and ready loses nothing, on whichever side") {
    ResyncPair pair;
    pair.run();
    REQUIRE(pair.source_map->mark(0, 512).ok());
    pair.source_map->end_change(0, 512, false);
    for (int i = 0; i < 3; ++i) {
        pair.restart();
        const BeginMessage begin = pair.source->begin(pair.target->known()).value();
        CHECK(begin.blocks.unpack(block_count).value().size() == 1);
        // The last time the target takes it, and the answer is lost.
        if (i == 2) REQUIRE(pair.target->on_begin(begin).ok());
    }
    pair.forget_io();
    pair.restart();
    pair.run();
    CHECK(pair.target_image.reads == Blocks{0});
}

TEST_CASE("an interrupted resync goes on where it stopped") {
    ResyncPair pair;
    for (BlockIndex block = 0; block < block_count; block += 10)
        pair.scribble(pair.source_image, block);
    pair.begin();
    for (int i = 0; i < 2; ++i)
        pair.answer(*pair.source->next().value());
    // A third chunk is only compared.
    (void)pair.target->on_digests(*pair.source->next().value()).value();
    pair.forget_io();
    pair.restart();
    pair.run();
    // The third chunk's equal blocks are known to the target only.
    CHECK(pair.target_image.reads.front() == 2 * chunk_blocks_max);
    CHECK(pair.target_image.reads.size() == block_count - 2 * chunk_blocks_max);
    CHECK(pair.source_image.content == pair.target_image.content);
}

TEST_CASE("what the guest writes meanwhile is left to the first epoch") {
    ResyncPair pair;
    pair.begin();
    const auto digests = pair.source->next().value();
    REQUIRE(pair.source_map->mark(5 * disk_block_bytes, 512).ok());
    pair.scribble(pair.source_image, 5);
    pair.answer(*digests);
    CHECK(pair.source_map->dirty().contains(5));
    CHECK_FALSE(pair.source_map->dirty().contains(4));
    CHECK_FALSE(pair.target_map->dirty().contains(5));
    pair.source_map->end_change(5 * disk_block_bytes, 512, false);
    pair.source_map->clear(pair.source_map->take_touched());
    CHECK_FALSE(pair.source_map->dirty().contains(5));
}

TEST_CASE("a wanted block is read again, so that it is as new as can be") {
    ResyncPair pair;
    pair.scribble(pair.source_image, 9);
    pair.begin();
    const auto digests = pair.source->next().value();
    *pair.source_image.at(9) = 0x77;
    pair.answer(*digests);
    CHECK(*pair.target_image.at(9) == 0x77);
}

TEST_CASE("four chunks are on their way at most") {
    ResyncPair pair;
    CHECK_FALSE(pair.source->next().value());  // nothing before it began
    pair.begin();
    std::vector<ChunkDigestsMessage> chunks;
    while (auto digests = pair.source->next().value())
        chunks.push_back(*digests);
    REQUIRE(chunks.size() == chunks_max);
    CHECK(chunks[0].digests.size() == chunk_blocks_max);
    pair.answer(chunks[1]);  // in any order
    CHECK(pair.source->next().value());
    CHECK_FALSE(pair.source->next().value());
}

TEST_CASE("whole blocks of noise come in several messages") {
    ResyncPair pair;
    for (std::size_t at = 0; at < chunk_blocks_max * disk_block_bytes; at += 8) {
        const std::uint64_t noise = digest_of({}, at);
        std::memcpy(pair.source_image.content.data() + at, &noise, sizeof noise);
    }
    pair.run();
    CHECK(pair.source_image.content == pair.target_image.content);
    CHECK(pair.target_image.writes.size() == chunk_blocks_max);
}

TEST_CASE("a read-only disk is only compared") {
    ResyncPair equal;
    equal.target_image.refuse_writes = true;
    equal.run();
    CHECK(equal.target->finished());

    ResyncPair pair;
    pair.target_image.refuse_writes = true;
    pair.scribble(pair.source_image, 2);
    CHECK(pair.target->known().read_only);
    pair.begin();
    const auto answer = pair.target->on_digests(*pair.source->next().value());
    const std::string message = answer.error().message();
    CHECK(message.find("b.img") != std::string::npos);
    CHECK(message.find("read-only") != std::string::npos);
    CHECK(message.find("131072") != std::string::npos);
}

TEST_CASE("disks of different size are refused") {
    ResyncPair pair;
    KnownMessage known = pair.target->known();
    known.image_bytes += 512;
    CHECK(pair.source->begin(known).error().message().find("same size") != std::string::npos);
}

TEST_CASE("disk errors end a resync, and the map still covers what is left") {
    ResyncPair pair;
    pair.source_image.unreadable = 3;
    pair.begin();
    CHECK_FALSE(pair.source->next().ok());
    CHECK(pair.source_map->dirty().size() == block_count);
}

TEST_CASE("a source refuses answers that fit nothing it asked") {
    ResyncPair pair;
    CHECK_FALSE(pair.source->on_ready({2}).ok());  // nothing is offered yet
    KnownMessage known = pair.target->known();
    known.dirty.bits.assign(100, 0xff);
    CHECK_FALSE(pair.source->begin(known).ok());
    known = pair.target->known();
    known.disk = 1;
    CHECK_FALSE(pair.source->begin(known).ok());
    pair.begin();
    CHECK_FALSE(pair.source->begin(pair.target->known()).ok());
    CHECK_FALSE(pair.source->on_ready({2}).ok());
    const auto digests = pair.source->next().value();
    CHECK_FALSE(pair.source->on_wanted({2, digests->chunk + 1, {0}}).ok());
    CHECK_FALSE(pair.source->on_wanted({1, digests->chunk, {0}}).ok());
    CHECK_FALSE(pair.source->on_wanted({2, digests->chunk, {0, 64}}).ok());
    CHECK_FALSE(pair.source->on_done({2, digests->chunk + 1}).ok());
    CHECK(pair.source->on_wanted({2, digests->chunk, {0}}).ok());
    CHECK_FALSE(pair.source->on_wanted({2, digests->chunk, {1}}).ok());
    CHECK(pair.source->on_done({2, digests->chunk}).ok());
    CHECK_FALSE(pair.source->on_done({2, digests->chunk}).ok());
    CHECK_FALSE(pair.source->finished());
}

TEST_CASE("a target refuses what it did not ask for") {
    ResyncPair pair;
    pair.scribble(pair.source_image, 1);
    pair.scribble(pair.source_image, 70);
    CHECK_FALSE(pair.target->on_digests({2, 1, {{0, 0}}}).ok());  // before it begins
    BeginMessage begin = pair.source->begin(pair.target->known()).value();
    begin.image_bytes += 1;
    CHECK_FALSE(pair.target->on_begin(begin).ok());
    begin.image_bytes -= 1;
    begin.blocks.bits.assign(100, 0xff);
    CHECK_FALSE(pair.target->on_begin(begin).ok());
    pair.source.emplace(2, *pair.source_map, pair.source_image);
    pair.begin();
    const auto first = *pair.source->next().value();
    const auto second = *pair.source->next().value();
    REQUIRE(pair.target->on_digests(first).ok());
    REQUIRE(pair.target->on_digests(second).ok());
    CHECK_FALSE(pair.target->on_digests(first).ok());
    CHECK_FALSE(pair.target->on_digests({2, 99, {{0, 0}}}).ok());            // looked at already
    CHECK_FALSE(pair.target->on_digests({2, 99, {{block_count, 0}}}).ok());  // no such block
    const auto zero = [](BlockIndex block) { return PackedBlock{block, BlockEncoding::zero, {}}; };
    CHECK_FALSE(pair.target->on_blocks({2, 99, {zero(1)}}).ok());
    CHECK_FALSE(pair.target->on_blocks({1, first.chunk, {zero(1)}}).ok());
    CHECK_FALSE(pair.target->on_blocks({2, first.chunk, {zero(70)}}).ok());  // of another chunk
    CHECK_FALSE(pair.target->on_blocks({2, first.chunk, {zero(2)}}).ok());
    CHECK(pair.target_image.writes.empty());
    CHECK_FALSE(
        pair.target->on_blocks({2, first.chunk, {{1, BlockEncoding::raw, {1, 2, 3}}}}).ok());
    CHECK(pair.target_image.writes.empty());
}
