// SPDX-License-Identifier: Apache-2.0
// What a map knows of its pair beyond the blocks: so that a copy that is put back is found.
#include <catch2/catch.hpp>
#include <filesystem>

#include "replay/image/dirty_block_map.h"
#include "support/sync_watch.h"
#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::replay;
using test::SyncWatch;
using test::TempFile;

namespace {

constexpr std::uint64_t image_bytes = 10 * mib + 512;  // 161 blocks in 3 regions
constexpr std::uint64_t block_count = 161;
constexpr LabelId pair{2};

DiskLabel fresh_label() {
    DiskLabel label;
    label.image_bytes = image_bytes;
    return label;
}

struct Joined {
    TempFile unique;
    std::string path = unique.path() + ".fmvm";
    std::unique_ptr<DirtyBlockMap> map;

    Joined() {
        open();
        join(pair);
        map->clear({{0, block_count}});
        prune();
    }
    ~Joined() { std::filesystem::remove(path); }

    void open() {
        map.reset();
        std::string why;
        map = DirtyBlockMap::open(path, fresh_label(), why).value();
    }
    void open_after_boot() {
        map.reset();
        {
            LabelFile file = LabelFile::open(path).value();
            DiskLabel label = file.label();
            label.boot[3] ^= 1;
            REQUIRE(file.write(label).ok());
        }
        open();
    }
    void join(const LabelId& with) {
        DiskLabel label = map->label();
        label.pair = with;
        REQUIRE(map->set_label(label).ok());
    }
    void write(BlockIndex block) {
        REQUIRE(map->mark(block * disk_block_bytes, 512).ok());
        map->end_change(block * disk_block_bytes, 512, false);
    }
    void prune() {
        const auto prune = map->begin_prune(DirtyBlockMap::Prune::all);
        if (prune) map->end_prune(*prune, true);
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
