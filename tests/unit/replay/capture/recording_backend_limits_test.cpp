// SPDX-License-Identifier: Apache-2.0
// Room for what is recorded, and how recording ends.
#include "replay/capture/recording_backend.h"

#include <catch2/catch.hpp>

#include "support/recording_bench.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

TEST_CASE("recording: requests wait for room, and a cut is asked for when it would make some") {
    RecordingBench bench(BlockLog::Reads::recorded, 64 * kib);
    bench.start_recording();
    for (std::uint64_t i = 0; i < 4; ++i)
        bench.write(i * 16, 1, 8 * kib);
    CHECK(bench.pressed == 1);
    CHECK(bench.log.under_pressure());
    for (std::uint64_t i = 4; i < 10; ++i)
        bench.write(i * 16, 1, 8 * kib);
    CHECK(bench.completed.size() == 7);  // with what the entries take, the eighth does not fit
    CHECK(bench.pressed == 1);
    {
        const BlockLog::Epoch epoch = bench.log.close_epoch();
        CHECK_FALSE(bench.log.under_pressure());
        bench.poll();
        CHECK(epoch.completed.size() == 7);
        CHECK(bench.completed.size() == 8);  // the cut's payloads are still on their way
    }
    bench.poll();
    CHECK(bench.completed.size() == 10);
    CHECK(std::ranges::is_sorted(bench.completed));
}

TEST_CASE("recording: a burst of reads in flight is no reason for a cut") {
    RecordingBench bench(BlockLog::Reads::recorded, 64 * kib);
    bench.start_recording();
    bench.disk->hold(true);
    for (std::uint64_t i = 0; i < 10; ++i)
        bench.read(i * 16, 8 * kib);
    CHECK(bench.disk->held().size() == 8);
    CHECK_FALSE(bench.log.under_pressure());
    bench.finish_in_order();
    bench.finish_in_order();
    CHECK(bench.completed.size() == 10);
    CHECK(bench.pressed == 0);
}

TEST_CASE("recording: entries without payloads have their limit, too") {
    const BlockOp op = GENERATE(BlockOp::discard, BlockOp::flush);
    RecordingBench bench(BlockLog::Reads::recorded, 64 * kib);
    bench.start_recording();
    for (unsigned i = 0; i < 1000; ++i)
        bench.change(op, i % 100);
    CHECK(bench.completed.size() < 300);
    CHECK(bench.pressed == 1);
    while (bench.completed.size() < 1000) {
        const std::size_t before = bench.completed.size();
        bench.log.close_epoch();
        bench.poll();
        REQUIRE(bench.completed.size() > before);
    }
}

TEST_CASE("recording: a reset withdraws what waits") {
    RecordingBench bench;
    bench.disk->hold(true);
    bench.write(1, 1);
    bench.log.begin();
    bench.write(1, 2);
    bench.write(1, 3);
    bench.backend->withdraw();
    CHECK(bench.completed == Numbers{1, 2});
    CHECK(bench.statuses == std::vector(2, BlockStatus::io_error));
    CHECK(bench.disk->withdrawals() == 1);
    CHECK_FALSE(bench.log.all_captured());
    bench.finish_in_order();
    CHECK(bench.log.all_captured());
    CHECK(bench.log.is_idle());
    CHECK(bench.on_disk(1) == 1);
    CHECK(bench.log.take_completed().empty());
}

TEST_CASE("recording: a disk that goes is not woken any more") {
    RecordingBench bench(BlockLog::Reads::recorded, 64 * kib);
    bench.start_recording();
    for (std::uint64_t i = 0; i < 8; ++i)
        bench.write(i * 16, 1, 8 * kib);
    CHECK(bench.completed.size() == 7);
    bench.log.end();  // there is room now, which is posted
    bench.backend.reset();
    bench.loop.context().poll();
    CHECK(bench.completed.size() == 7);
}
