// SPDX-License-Identifier: Apache-2.0
// What a map knows of its pair beyond the blocks: so that a copy that is put back is found.
#include "replay/image/dirty_block_map.h"
#include "support/map_bench.h"
#include "support/sync_watch.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

namespace {

constexpr LabelId pair{2};

struct Joined : MapBench {
    Joined() {
        join(pair);
        clear_all();
        prune();
    }
    void join(const LabelId& with) {
        DiskLabel label = map->label();
        label.pair = with;
        REQUIRE(map->set_label(label).ok());
    }
};

}  // namespace

TEST_CASE("a serial advances with each region that becomes active, durably before it is") {
    Joined side;
    CHECK(side.map->serial() == 0);
    bool durable = false;
    {
        const SyncWatch watch([&](int) {
            durable = true;
            return std::nullopt;
        });
        side.write(0);
    }
    CHECK(durable);
    CHECK(side.map->serial() == 1);
    side.write(1);  // the same region
    CHECK(side.map->serial() == 1);
    side.write(160);
    CHECK(side.map->serial() == 2);
    BlockSet more(block_count);
    more.insert(70);
    REQUIRE(side.map->add(more).ok());
    CHECK(side.map->serial() == 3);
}

TEST_CASE("what a side does before it meets the other again does not make up for what it lost") {
    Joined side;
    side.write(0);
    side.open();
    CHECK(side.map->progress(pair).serial == 1);
    side.write(100);
    side.open();
    side.write(160);
    CHECK(side.map->progress(pair).serial == 1);
    side.join({4});
    CHECK(side.map->progress({4}) == PairProgress{});
    CHECK(side.map->progress(pair) == PairProgress{});
}

TEST_CASE("steps survive the process, and count as unknown when the host was started again") {
    Joined side;
    side.write(0);
    side.map->hear_serial(5);
    side.map->count_sent();
    side.map->count_heard();
    side.map->count_heard();
    side.open();
    CHECK(side.map->progress(pair) == PairProgress{1, 5, 1, 2});
    side.open_after_boot();
    CHECK(side.map->progress(pair) == PairProgress{1, 5, PairProgress::lost, 2});
}

TEST_CASE("a label that only offers a pair, or changes its role, keeps its progress") {
    Joined side;
    side.map->count_sent();
    DiskLabel label = side.map->label();
    label.offered = {4};
    label.role = DiskRole::running;
    REQUIRE(side.map->set_label(label).ok());
    CHECK(side.map->progress(pair).sent == 1);
    CHECK(side.map->progress({4}) == PairProgress{});
}

TEST_CASE("no region becomes inactive unless what was heard of the other side is durable") {
    Joined side;
    side.write(0);
    side.map->clear(side.map->take_touched());
    const auto prune = side.map->begin_prune(DirtyBlockMap::Prune::all);
    REQUIRE(prune.has_value());
    {
        const SyncWatch watch([](int) { return EIO; });
        side.map->end_prune(*prune, true);
    }
    side.open_after_boot();
    CHECK(side.map->dirty().size() == blocks_per_region);
}
