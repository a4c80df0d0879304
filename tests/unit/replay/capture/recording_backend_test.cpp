// SPDX-License-Identifier: Apache-2.0
#include "replay/capture/recording_backend.h"

#include <catch2/catch.hpp>

#include "base/digest.h"
#include "support/recording_bench.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

TEST_CASE("recording: while it is off, everything passes and nothing is kept") {
    RecordingBench bench;
    bench.disk->hold(true);
    const GuestAddress at = bench.write(1, 0x11);
    bench.write(1, 0x22);
    CHECK(bench.sectors_held() == Numbers{1, 1});  // at the same time
    bench.ram.poke_bytes(at, Bytes(512, 0x33));
    CHECK_FALSE(bench.log.is_idle());
    bench.disk->release(1);
    bench.finish_in_order();
    CHECK(bench.completed == Numbers{1, 0});
    CHECK(bench.on_disk(1) == 0x33);  // it was not copied
    CHECK(bench.log.is_idle());
    CHECK(bench.log.take_completed().empty());
}

TEST_CASE("recording: a guest that scribbles on a buffer in flight leaves disk and record equal") {
    RecordingBench bench;
    bench.start_recording();
    bench.disk->hold(true);
    const GuestAddress at = bench.write(1, 0x11);
    bench.ram.poke_bytes(at, Bytes(512, 0x22));
    bench.finish_in_order();
    CHECK(bench.on_disk(1) == 0x11);
    const BlockLog::Epoch epoch = bench.log.close_epoch();
    REQUIRE(epoch.completed.size() == 1);
    const LoggedRequest& request = epoch.completed[0];
    CHECK(request.disk == 3);
    CHECK(request.op == BlockOp::write);
    CHECK_FALSE(request.failed);
    CHECK(request.offset == 512);
    CHECK(payload_of(request) == Bytes(512, 0x11));
    REQUIRE(request.write->segments.size() == 1);
    CHECK(request.write->segments[0].address == at);
    CHECK(epoch.in_flight.empty());
}

TEST_CASE("recording: a request waits for those before it that it overlaps, and only for those") {
    RecordingBench bench;
    bench.start_recording();
    bench.disk->hold(true);
    bench.write(0, 1, 1024);                 // 0
    bench.write(1, 2, 1024);                 // 1: waits for 0
    bench.read(2);                           // 2: waits for 1, which waits
    bench.change(BlockOp::discard, 8);       // 3
    bench.change(BlockOp::write_zeroes, 8);  // 4: waits for 3
    bench.read(20);                          // 5
    bench.read(20);                          // 6: two reads have no order
    bench.submit(BlockOp::flush, 0, 0, {});  // 7: never waits
    CHECK(bench.sectors_held() == Numbers{0, 8, 20, 20, 0});
    bench.disk->release_all_reversed();
    bench.backend->poll_completions();
    CHECK(bench.sectors_held() == Numbers{8, 1});
    bench.finish_in_order();
    CHECK(bench.sectors_held() == Numbers{2});
    bench.finish_in_order();
    CHECK(bench.completed == Numbers{7, 6, 5, 3, 0, 4, 1, 2});
    Numbers order;
    std::uint64_t last = 0;
    for (const LoggedRequest& request : bench.log.close_epoch().completed) {
        CHECK(request.sequence > last);
        last = request.sequence;
        order.push_back(request.offset / sector_size);
    }
    CHECK(order == Numbers{0, 8, 0, 8, 1});  // the reads filled no page
}

TEST_CASE("recording: what waits starts at once when a completion lets it, in order") {
    RecordingBench bench;
    bench.start_recording();
    bench.disk->hold(true);
    for (std::uint8_t value = 1; value <= 20; ++value)
        bench.write(5, value);
    bench.disk->hold(false);  // all that follows completes inside submit()
    bench.finish_in_order();
    CHECK(bench.completed.size() == 20);
    CHECK(std::ranges::is_sorted(bench.completed));
    CHECK(bench.on_disk(5) == 20);
}

TEST_CASE("recording: a read fills guest RAM when it completes, and says what it put there") {
    RecordingBench bench;
    bench.start_recording();
    for (std::uint64_t i = 0; i < 4096; ++i)
        (*bench.image)[8192 + i] = static_cast<std::uint8_t>(i * 7);
    bench.disk->hold(true);
    // A part of a page, a whole one, a part.
    const GuestAddress at = bench.ram.take(3 * page_size, page_size) + 3072;
    bench.submit(BlockOp::read, 14, 6144, {{at, 6144}});
    bench.ram.poke_bytes(at, Bytes(6144, 0x44));
    bench.finish_in_order();
    const BlockLog::Epoch epoch = bench.log.close_epoch();
    REQUIRE(epoch.completed.size() == 1);
    const LoggedRequest& request = epoch.completed[0];
    CHECK(request.op == BlockOp::read);
    REQUIRE(request.filled.size() == 1);
    const FilledPage& filled = request.filled[0];
    CHECK(filled.page == bench.ram.memory().page_of(at) + 1);
    CHECK(filled.offset == 1024);
    const Bytes page(bench.image->begin() + 8192, bench.image->begin() + 8192 + 4096);
    CHECK((bench.ram.peek_bytes(at + 1024, 4096) == page));
    CHECK(bench.ram.peek_bytes(at, 1024) == Bytes(1024, 0xdd));
    CHECK(bench.ram.peek_bytes(at + 5120, 1024) == Bytes(1024, 0xdd));
    CHECK(filled.digest == digest_of(page));
    // The log names the whole page; the others are marked.
    CHECK(bench.operations[0].accounted);
    CHECK(bench.ram.take_dirty_pages() == std::vector{page_of(at), page_of(at + 5120)});
}

TEST_CASE("recording: nothing changes guest RAM while a read is under way, or when it fails") {
    RecordingBench bench;
    bench.start_recording();
    bench.disk->hold(true);
    const GuestAddress at = bench.read(0, 8192);
    CHECK(bench.disk->held()[0]->buffers[0].iov_base != bench.ram.memory().host_range(at, 1));
    bench.disk->judge([](const BlockOperation&) { return BlockStatus::io_error; });
    bench.finish_in_order();
    CHECK(bench.statuses == std::vector{BlockStatus::io_error});
    CHECK((bench.ram.peek_bytes(at, 8192) == Bytes(8192)));
    CHECK(bench.log.close_epoch().completed.empty());
    CHECK_FALSE(bench.operations[0].accounted);
}

TEST_CASE("recording: pages that the disk's blocks do not make up are not claimed") {
    RecordingBench bench(BlockLog::Reads::recorded, BlockLog::budget_default, {.block_size = 4096});
    bench.start_recording();
    const GuestAddress at = bench.ram.take(4 * page_size, page_size);
    // The second page begins in the middle of a block of the disk.
    bench.submit(BlockOp::read, 0, 12288,
                 {{at, 4096}, {at + (2 * page_size - 2048), 2048 + 4096}, {at + 4096, 2048}});
    const BlockLog::Epoch epoch = bench.log.close_epoch();
    REQUIRE(epoch.completed.size() == 1);
    REQUIRE(epoch.completed[0].filled.size() == 1);
    CHECK(epoch.completed[0].filled[0].offset == 0);
}

TEST_CASE("recording: with payloads by value reads pass") {
    RecordingBench bench(BlockLog::Reads::passed);
    bench.start_recording();
    bench.disk->hold(true);
    const GuestAddress at = bench.read(0, 8192);
    CHECK(bench.disk->held()[0]->buffers[0].iov_base == bench.ram.memory().host_range(at, 1));
    bench.finish_in_order();
    CHECK(bench.log.close_epoch().completed.empty());
    CHECK_FALSE(bench.operations[0].accounted);
}

TEST_CASE("recording: failed changes are logged as such, and what is read there is not claimed") {
    RecordingBench bench;
    bench.start_recording();
    bench.disk->judge([](const BlockOperation& operation) -> std::optional<BlockStatus> {
        if (operation.op == BlockOp::discard) return BlockStatus::unsupported;
        if (operation.op == BlockOp::write) return BlockStatus::io_error;
        return std::nullopt;
    });
    bench.write(8, 1);
    bench.change(BlockOp::discard, 32);
    bench.read(0, 8192);   // touches what the write may have changed
    bench.read(32, 4096);  // what is unsupported has changed nothing
    const BlockLog::Epoch epoch = bench.log.close_epoch();
    REQUIRE(epoch.completed.size() == 3);
    CHECK(epoch.completed[0].failed);
    CHECK(epoch.completed[0].write == nullptr);
    CHECK(epoch.completed[1].failed);
    CHECK(epoch.completed[2].op == BlockOp::read);
    CHECK(epoch.completed[2].offset == 32 * sector_size);
    // Many failures are remembered as one range between the first and the last of them.
    for (std::uint64_t sector = 100; sector < 400; sector += 2)
        bench.write(sector, 1);
    bench.log.close_epoch();
    bench.read(300, 4096);
    CHECK(bench.log.close_epoch().completed.empty());
    bench.log.end();  // what differs is made equal when protection begins again
    bench.start_recording();
    bench.read(300, 4096);
    CHECK(bench.log.close_epoch().completed.size() == 1);
}

TEST_CASE("recording: what was in flight when it began is waited for by the first cut") {
    RecordingBench bench;
    bench.disk->hold(true);
    bench.write(1, 1);
    bench.read(8, 4096);
    bench.log.begin();
    CHECK_FALSE(bench.log.all_captured());
    bench.write(1, 2);  // waits for the one that nobody took
    CHECK(bench.sectors_held() == Numbers{1, 8});
    bench.finish_in_order();
    CHECK(bench.log.all_captured());
    bench.finish_in_order();
    const std::vector<LoggedRequest> completed = bench.log.take_completed();
    REQUIRE(completed.size() == 1);
    CHECK(payload_of(completed[0]) == Bytes(512, 2));
}

TEST_CASE("recording: changes are mirrored before the first cut, reads are not") {
    RecordingBench bench;
    bench.log.begin();
    bench.write(1, 1);
    bench.read(8, 4096);
    bench.change(BlockOp::write_zeroes, 2);
    bench.submit(BlockOp::flush, 0, 0, {});
    CHECK(bench.log.take_completed().size() == 3);
    bench.disk->hold(true);
    bench.read(8, 4096);
    bench.log.start_epochs();
    bench.finish_in_order();  // it was bounced from the beginning
    CHECK(bench.log.close_epoch().completed.size() == 1);
}

TEST_CASE("recording: writes in flight are told at the cut, and logged when they complete") {
    RecordingBench bench;
    bench.start_recording();
    bench.disk->hold(true);
    bench.write(1, 1);
    bench.write(1, 2);  // not taken yet
    const BlockLog::Epoch first = bench.log.close_epoch();
    REQUIRE(first.in_flight.size() == 1);
    CHECK(first.completed.empty());
    bench.finish_in_order();
    const BlockLog::Epoch second = bench.log.close_epoch();
    REQUIRE(second.completed.size() == 1);
    CHECK(second.completed[0].write == first.in_flight[0]);
    REQUIRE(second.in_flight.size() == 1);
    bench.log.end();
    bench.finish_in_order();
    CHECK(bench.on_disk(1) == 2);
    CHECK(bench.log.take_completed().empty());
}
