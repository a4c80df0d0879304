// SPDX-License-Identifier: Apache-2.0
// The flushes of a guest, on the backup's disks.
#include <catch2/catch.hpp>
#include <thread>

#include "support/replayer_bench.h"
#include "support/slow_disk.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

TEST_CASE("replayer: flushes are carried out once, and sync waits for them") {
    ReplayerBench bench;
    Records records;
    std::size_t flushes = 0;
    for (auto& disk : bench.disks) {
        disk->judge([&flushes](const BlockOperation& operation) -> std::optional<BlockStatus> {
            if (operation.op == BlockOp::flush) ++flushes;
            return std::nullopt;
        });
    }
    records.write(1, 1);
    records.add(BlockOp::flush, 0, 0);
    records.write(1, 2);
    records.add(BlockOp::flush, 0, 0);
    REQUIRE(bench.replay(records) == "");
    CHECK(flushes == 0);  // in flight
    CHECK(bench.disks[0]->held().size() == 1);
    CHECK(bench.disks[1]->held().empty());
    REQUIRE(bench.replayer->wait_all().ok());
    CHECK(flushes == 1);
    REQUIRE(bench.replayer->sync().ok());
    CHECK(flushes == 3);  // of both disks
    CHECK(bench.disks[0]->held().empty());
}

TEST_CASE("replayer: a flush that fails is found out, at the latest by sync") {
    ReplayerBench bench;
    bench.disks[0]->judge([](const BlockOperation& operation) -> std::optional<BlockStatus> {
        if (operation.op == BlockOp::flush) return BlockStatus::io_error;
        return std::nullopt;
    });
    Records records;
    records.add(BlockOp::flush, 0, 0);
    CHECK(bench.replay(records) == "");
    SECTION("by sync") {
        CHECK_FALSE(bench.replayer->sync().ok());
    }
    SECTION("or when it is looked at") {
        CHECK_FALSE(bench.replayer->poll().ok());
    }
    SECTION("or by the next records, whatever they are") {
        Records more;
        more.write(1, 1);
        CHECK(bench.replay(more) != "");
        CHECK(bench.on_disk(1) == 0xdd);
    }
}

TEST_CASE("replayer: a flush that takes long is no error to who does not say so") {
    ReplayerBench bench(std::chrono::milliseconds(1));
    bench.disks[0]->answers = false;
    Records records;
    records.add(BlockOp::flush, 0, 0);
    REQUIRE(bench.replay(records) == "");
    for (int i = 0; i < 5; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        CHECK(bench.replayer->poll().ok());
        CHECK_FALSE(bench.replayer->is_idle());
    }
    SECTION("it ends") {
        bench.disks[0]->answers = true;
        CHECK(bench.replayer->poll().ok());
        CHECK(bench.replayer->is_idle());
    }
    SECTION("it is given up") {
        CHECK_FALSE(bench.replayer->poll_in_time().ok());
        CHECK(bench.replayer->gave_up_on_flush());
        CHECK_FALSE(bench.replayer->is_idle());
        bench.disks[0]->judge([](const BlockOperation&) { return BlockStatus::io_error; });
        bench.disks[0]->answers = true;
        CHECK_FALSE(bench.replayer->poll_in_time().ok());
        CHECK(bench.replayer->is_idle());
        CHECK_FALSE(bench.replayer->gave_up_on_flush());  // it has failed after all
    }
}

TEST_CASE("replayer: a flush that came during another is carried out behind it, unasked") {
    ReplayerBench bench;
    std::size_t flushes = 0;
    bench.disks[0]->judge(
        [&flushes](const BlockOperation& operation) -> std::optional<BlockStatus> {
            if (operation.op == BlockOp::flush) ++flushes;
            return std::nullopt;
        });
    bench.disks[0]->answers = false;
    for (int i = 0; i < 2; ++i) {
        Records records;
        records.add(BlockOp::flush, 0, 0);
        REQUIRE(bench.replay(records) == "");
    }
    CHECK(bench.disks[0]->held().size() == 1);
    bench.disks[0]->answers = true;
    REQUIRE(bench.replayer->poll().ok());
    CHECK(flushes == 1);
    CHECK(bench.disks[0]->held().size() == 1);
    CHECK_FALSE(bench.replayer->is_idle());
    REQUIRE(bench.replayer->poll().ok());
    CHECK(bench.replayer->is_idle());
    CHECK(flushes == 2);
}
