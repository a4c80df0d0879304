// SPDX-License-Identifier: Apache-2.0
// Which regions become inactive, and by which flush. (What an inactive region means:
// replay_dirty_block_map, replay_resync_model.)
#include <catch2/catch.hpp>

#include "replay/image/pruning_backend.h"
#include "support/faulty_backend.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

namespace {

using Prune = DirtyBlockMap::Prune;

// A disk of three regions, all of them active and without a set bit.
struct Disk : BlockOperationOwner {
    explicit Disk(std::chrono::steady_clock::duration period = {}) {
        DiskLabel label;
        label.image_bytes = 3 * label_region_bytes;
        map = DirtyBlockMap::unsaved(label).value();
        auto owned = std::make_unique<FaultyBackend>(std::make_unique<MemoryBackend>(
            std::make_shared<std::vector<std::uint8_t>>(label.image_bytes)));
        faulty = owned.get();
        backend.emplace(std::move(owned), *map, period);
        map->clear({{0, 3 * blocks_per_region}});
    }
    void complete(BlockOperation&, BlockStatus status) override { results.push_back(status); }
    // Written, and the same on the other side.
    void write_in_region(std::uint64_t region) {
        const std::uint64_t offset = region * label_region_bytes;
        REQUIRE(map->mark(offset, 512).ok());
        map->end_change(offset, 512, false);
        map->clear(map->take_touched());
    }
    void flush(BlockOperation& operation) {
        operation.op = BlockOp::flush;
        operation.owner = this;
        backend->submit(operation);
    }
    // Looks, and changes nothing but what is under way.
    bool has_inactive_candidates() const {
        const auto begun = map->begin_prune(Prune::all);
        if (begun) map->end_prune(*begun, false);
        return begun.has_value();
    }
    bool prune_idle() const {
        const auto begun = map->begin_prune(Prune::idle);
        if (begun) map->end_prune(*begun, true);
        return begun.has_value();
    }

    std::unique_ptr<DirtyBlockMap> map;
    FaultyBackend* faulty = nullptr;
    std::optional<PruningBackend> backend;
    std::vector<BlockStatus> results;
};

}  // namespace

TEST_CASE("pruning: a region that was written lately is left for the next time") {
    Disk disk;
    disk.write_in_region(1);
    REQUIRE(disk.prune_idle());
    CHECK(disk.has_inactive_candidates());  // region 1
    REQUIRE(disk.prune_idle());
    CHECK_FALSE(disk.has_inactive_candidates());
}

TEST_CASE("pruning: it goes with a flush, which ends as it would have without") {
    Disk disk;
    BlockOperation operation;
    SECTION("that succeeds") {
        disk.flush(operation);
        CHECK(disk.results == std::vector{BlockStatus::ok});
        CHECK_FALSE(disk.has_inactive_candidates());
    }
    SECTION("or fails, and then nothing becomes inactive") {
        disk.faulty->judge([](const BlockOperation&) { return BlockStatus::io_error; });
        disk.flush(operation);
        CHECK(disk.results == std::vector{BlockStatus::io_error});
        CHECK(disk.has_inactive_candidates());
    }
}

TEST_CASE("pruning: a second flush meanwhile has no part in it") {
    Disk disk;
    disk.faulty->hold(true);
    BlockOperation first, second;
    disk.flush(first);
    disk.flush(second);
    REQUIRE(disk.faulty->held().size() == 2);
    disk.write_in_region(2);  // after the first one, so not covered by it
    disk.faulty->release(1);
    disk.backend->poll_completions();
    CHECK(disk.results.size() == 1);
    disk.faulty->release_all();
    disk.backend->poll_completions();
    CHECK(disk.results == std::vector(2, BlockStatus::ok));
    CHECK(disk.has_inactive_candidates());  // region 2
}

TEST_CASE("pruning: not with every flush, and never with anything else") {
    Disk disk(std::chrono::hours(1));
    BlockOperation operation;
    disk.flush(operation);
    CHECK(disk.results == std::vector{BlockStatus::ok});
    CHECK(disk.has_inactive_candidates());
    Disk other;
    BlockOperation read;
    read.owner = &other;
    other.backend->submit(read);
    CHECK(other.has_inactive_candidates());
}

TEST_CASE("pruning: one at a time; that of an orderly end comes before any other") {
    Disk disk;
    disk.faulty->hold(true);
    BlockOperation flush;
    disk.flush(flush);
    CHECK_FALSE(disk.map->begin_prune(Prune::idle));
    const auto at_end = disk.map->begin_prune(Prune::all);
    REQUIRE(at_end);
    disk.faulty->release_all();  // the flush was not begun behind that one
    disk.backend->poll_completions();
    CHECK(disk.results == std::vector{BlockStatus::ok});
    disk.map->end_prune(*at_end, false);
    CHECK(disk.has_inactive_candidates());
}
