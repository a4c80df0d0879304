// SPDX-License-Identifier: Apache-2.0
#include "replay/image/tracking_backend.h"

#include "support/faulty_backend.h"
#include "support/map_bench.h"
#include "support/sync_watch.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

namespace {

struct Owner : BlockOperationOwner {
    std::vector<BlockStatus> results;
    void complete(BlockOperation&, BlockStatus status) override { results.push_back(status); }
};

struct TrackedDisk {
    MapBench fixture;
    test::SharedImage image = std::make_shared<std::vector<std::uint8_t>>(image_bytes);
    FaultyBackend* faulty = nullptr;
    std::unique_ptr<TrackingBackend> backend;
    Owner owner;
    std::vector<std::uint8_t> data = std::vector<std::uint8_t>(4096, 0x5a);

    TrackedDisk() {
        auto inner = std::make_unique<FaultyBackend>(std::make_unique<MemoryBackend>(image));
        faulty = inner.get();
        backend = std::make_unique<TrackingBackend>(std::move(inner), *fixture.map);
        fixture.clear_all();
        fixture.prune();
    }
    BlockOperation make(BlockOp op, BlockIndex block) {
        BlockOperation operation;
        operation.op = op;
        operation.offset = block * disk_block_bytes;
        operation.length = op == BlockOp::flush ? 0 : data.size();
        if (op == BlockOp::read || op == BlockOp::write)
            operation.buffers.push_back({data.data(), data.size()});
        operation.owner = &owner;
        return operation;
    }
};

}  // namespace

TEST_CASE("the tracking backend marks changes before they go, and nothing else") {
    TrackedDisk disk;
    disk.faulty->judge([&](const BlockOperation& operation) -> std::optional<BlockStatus> {
        const BlockIndex block = operation.offset / disk_block_bytes;
        CHECK(disk.fixture.map->dirty().contains(block) ==
              (operation.op != BlockOp::read && operation.op != BlockOp::flush));
        return std::nullopt;
    });
    BlockIndex block = 1;
    for (const BlockOp op :
         {BlockOp::write, BlockOp::discard, BlockOp::write_zeroes, BlockOp::read, BlockOp::flush}) {
        BlockOperation operation = disk.make(op, block++);
        disk.backend->submit(operation);
    }
    CHECK(disk.owner.results == std::vector<BlockStatus>(5, BlockStatus::ok));
    CHECK(disk.fixture.dirty() == Blocks{1, 2, 3});
    CHECK(disk.fixture.map->take_touched() == BlockRuns{{1, 4}});
    CHECK((*disk.image)[disk_block_bytes] == 0x5a);
}

TEST_CASE("changes in flight are known to the map, failed ones stay") {
    TrackedDisk disk;
    disk.faulty->hold(true);
    BlockOperation first = disk.make(BlockOp::write, 1);
    BlockOperation second = disk.make(BlockOp::write, 2);
    disk.backend->submit(first);
    disk.backend->submit(second);
    CHECK(disk.fixture.map->take_touched().empty());
    disk.faulty->judge([&](const BlockOperation& operation) -> std::optional<BlockStatus> {
        if (operation.offset == disk_block_bytes) return BlockStatus::io_error;
        return std::nullopt;
    });
    disk.faulty->release_all_reversed();
    disk.backend->poll_completions();
    CHECK(disk.owner.results == std::vector{BlockStatus::ok, BlockStatus::io_error});
    const BlockRuns touched = disk.fixture.map->take_touched();
    CHECK(touched == BlockRuns{{1, 3}});
    disk.fixture.map->clear(touched);
    CHECK(disk.fixture.dirty() == Blocks{1});
}

TEST_CASE("after a flush that failed all of the disk is compared, whatever is committed") {
    TrackedDisk disk;
    BlockOperation write = disk.make(BlockOp::write, 1);
    BlockOperation flush = disk.make(BlockOp::flush, 0);
    disk.backend->submit(write);
    disk.backend->submit(flush);
    CHECK(disk.fixture.dirty() == Blocks{1});
    disk.faulty->judge([](const BlockOperation& operation) -> std::optional<BlockStatus> {
        if (operation.op == BlockOp::flush) return BlockStatus::io_error;
        return std::nullopt;
    });
    disk.backend->submit(flush);
    CHECK(disk.owner.results.back() == BlockStatus::io_error);
    disk.fixture.map->clear(disk.fixture.map->take_touched());
    CHECK(disk.fixture.dirty() == range(0, block_count));
    CHECK(disk.fixture.dirty_after_kill() == range(0, block_count));
    disk.fixture.map->resynced(1);
    CHECK_FALSE(disk.fixture.map->dirty().contains(1));
    CHECK(disk.fixture.map->dirty().contains(2));
}

TEST_CASE("a change that cannot be marked does not get to the disk") {
    TrackedDisk disk;
    const SyncWatch watch([](int) { return ENOSPC; });
    BlockOperation operation = disk.make(BlockOp::write, 1);
    disk.backend->submit(operation);
    CHECK(disk.owner.results == std::vector{BlockStatus::io_error});
    CHECK(disk.faulty->submitted() == 0);
}
