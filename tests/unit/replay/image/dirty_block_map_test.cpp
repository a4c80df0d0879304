// SPDX-License-Identifier: Apache-2.0
#include "replay/image/dirty_block_map.h"

#include <cstring>
#include <fstream>
#include <random>
#include <thread>

#include "support/map_bench.h"
#include "support/sync_watch.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

TEST_CASE("a new map says that everything may differ, and is clean only in name") {
    MapBench fixture;
    CHECK(fixture.dirty() == range(0, block_count));
    CHECK(fixture.map->label().role == DiskRole::clean);
    CHECK(fixture.map->label().pair == LabelId{});
    CHECK(fixture.why.empty());
}

TEST_CASE("marks set exactly the blocks that a change touches") {
    MapBench fixture;
    fixture.clear_all();
    REQUIRE(fixture.map->mark(disk_block_bytes - 512, 1024).ok());
    REQUIRE(fixture.map->mark(image_bytes - 512, 512).ok());
    REQUIRE(fixture.map->mark(5 * disk_block_bytes, 0).ok());
    CHECK(fixture.dirty() == Blocks{0, 1, 160});
    CHECK(fixture.dirty_after_kill() == Blocks{0, 1, 160});
}

TEST_CASE("an epoch's blocks are cleared, but not what was marked since") {
    MapBench fixture;
    fixture.clear_all();
    fixture.write(3);
    fixture.write(4);
    const BlockRuns epoch = fixture.map->take_touched();
    CHECK(epoch == BlockRuns{{3, 5}});
    fixture.write(4);
    fixture.map->clear(epoch);
    CHECK(fixture.dirty() == Blocks{4});
    CHECK(fixture.dirty_after_kill() == Blocks{4});
    CHECK(fixture.map->take_touched() == BlockRuns{{4, 5}});
    CHECK(fixture.map->take_touched().empty());
}

TEST_CASE("a change in flight at a cut belongs to the epoch in which it settles") {
    MapBench fixture;
    fixture.clear_all();
    REQUIRE(fixture.map->mark(0, 512).ok());
    REQUIRE(fixture.map->mark(0, 512).ok());
    CHECK(fixture.map->take_touched().empty());
    fixture.map->end_change(0, 512, false);
    CHECK(fixture.map->take_touched().empty());  // one more is in flight
    fixture.map->clear({{0, 1}});
    fixture.map->resynced(0);
    CHECK(fixture.dirty() == Blocks{0});
    fixture.map->end_change(0, 512, false);
    const BlockRuns epoch = fixture.map->take_touched();
    CHECK(epoch == BlockRuns{{0, 1}});
    fixture.map->clear(epoch);
    CHECK(fixture.dirty().empty());
}

TEST_CASE("a block whose change failed stays until it was resynchronised") {
    MapBench fixture;
    fixture.clear_all();
    fixture.write(7, 1, true);
    fixture.map->clear(fixture.map->take_touched());
    CHECK(fixture.dirty() == Blocks{7});
    fixture.write(7);
    fixture.map->clear(fixture.map->take_touched());
    CHECK(fixture.dirty() == Blocks{7});
    fixture.map->resynced(7);
    CHECK(fixture.dirty().empty());
    fixture.write(7);
    fixture.map->clear(fixture.map->take_touched());
    CHECK(fixture.dirty().empty());
}

TEST_CASE("after a power loss all blocks of active regions count") {
    MapBench fixture;
    fixture.clear_all();
    fixture.prune();
    fixture.write(70);
    CHECK(MapBench::list(fixture.open_after_boot().dirty()) == range(64, 128));
    // From then on the bits are exact again.
    fixture.clear_all();
    fixture.write(100);
    CHECK(MapBench::list(fixture.open().dirty()) == Blocks{100});
    // The last region is a short one.
    fixture.write(160);
    CHECK(MapBench::list(fixture.open_after_boot().dirty()) == range(64, 161));
}

TEST_CASE("a mark waits for the disk once a region") {
    MapBench fixture;
    fixture.clear_all();
    fixture.prune();
    int syncs = 0;
    std::vector<std::uint8_t> durable;
    const SyncWatch watch([&](int) {
        ++syncs;
        durable.assign(4096, 0);
        std::ifstream in(fixture.path, std::ios::binary);
        in.seekg(8192);
        in.read(reinterpret_cast<char*>(durable.data()), 4096);
        return std::nullopt;
    });
    fixture.write(1);
    CHECK(syncs == 1);
    CHECK(durable[0] == 1);
    fixture.write(2);
    CHECK(syncs == 1);
    fixture.write(60, 10);
    CHECK(syncs == 2);
    CHECK(durable[0] == 3);
}

TEST_CASE("what cannot be made durable is not marked, and the change must not go") {
    MapBench fixture;
    fixture.clear_all();
    fixture.prune();
    fixture.write(1);
    fixture.map->clear(fixture.map->take_touched());
    {
        const SyncWatch watch([](int) { return EIO; });
        CHECK_FALSE(fixture.map->mark(100 * disk_block_bytes, 512).ok());
    }
    // The kernel tells of a failed sync once only; it is not forgotten here.
    CHECK_FALSE(fixture.map->mark(100 * disk_block_bytes, 512).ok());
    CHECK(fixture.dirty().empty());
    CHECK(fixture.map->mark(2 * disk_block_bytes, 512).ok());
}

TEST_CASE("only regions that are clean, and stay so while the image is synced, become inactive") {
    MapBench fixture;
    CHECK_FALSE(fixture.map->begin_prune(DirtyBlockMap::Prune::all));
    fixture.clear_all();
    fixture.write(130);
    const auto prune = fixture.map->begin_prune(DirtyBlockMap::Prune::all);
    REQUIRE(prune);
    fixture.write(0);  // not covered by the sync
    fixture.map->clear(fixture.map->take_touched());
    fixture.map->end_prune(*prune, true);
    CHECK(fixture.dirty().empty());
    // Regions 0 and 2 stay active, 1 does not.
    Blocks expected = range(0, 64);
    std::ranges::copy(range(128, 161), std::back_inserter(expected));
    CHECK(MapBench::list(fixture.open_after_boot().dirty()) == expected);
}

TEST_CASE("bits that are added touch nothing and survive a power loss") {
    MapBench fixture;
    fixture.clear_all();
    fixture.prune();
    BlockSet more(block_count);
    more.insert(65);
    REQUIRE(fixture.map->add(more).ok());
    CHECK(fixture.map->take_touched().empty());
    CHECK(fixture.dirty_after_kill() == Blocks{65});
    CHECK(MapBench::list(fixture.open_after_boot().dirty()) == range(64, 128));
}

TEST_CASE("a label keeps what belongs to the file; breaking the lineage makes all dirty") {
    MapBench fixture;
    fixture.clear_all();
    fixture.prune();
    DiskLabel label = fixture.map->label();
    label.image_bytes = 1;
    label.boot = {};
    label.generation = 9;
    label.pair[0] = 5;
    label.offered[0] = 6;
    label.role = DiskRole::following;
    REQUIRE(fixture.map->set_label(label).ok());
    label.image_bytes = image_bytes;
    label.boot = this_boot();
    CHECK(fixture.map->label() == label);
    CHECK(fixture.open().label() == label);

    REQUIRE(fixture.map->break_lineage(DiskRole::clean).ok());
    const DiskLabel broken = fixture.open().label();
    CHECK(broken.role == DiskRole::clean);
    CHECK_FALSE(broken.is_paired_by(label.pair));
    CHECK_FALSE(broken.is_paired_by(label.offered));
    CHECK(broken.pair != LabelId{});
    CHECK(fixture.dirty() == range(0, block_count));
    CHECK(MapBench::list(fixture.open_after_boot().dirty()) == range(0, block_count));
}

TEST_CASE("a damaged label means that nothing is known") {
    MapBench fixture;
    fixture.clear_all();
    DiskLabel label = fixture.map->label();
    label.pair[0] = 5;
    REQUIRE(fixture.map->set_label(label).ok());
    fixture.map.reset();
    std::filesystem::resize_file(fixture.path, 5000);
    fixture.open();
    CHECK(fixture.why.find("damaged") != std::string::npos);
    CHECK(fixture.dirty() == range(0, block_count));
    CHECK(fixture.map->label().pair == LabelId{});
    CHECK(fixture.map->label().role == DiskRole::syncing);  // nobody may run it
    fixture.open();
    CHECK(fixture.why.empty());
    CHECK(fixture.map->label().role == DiskRole::syncing);
}

TEST_CASE("an image keeps what it descends from, until it begins anew") {
    MapBench fixture;
    const DiskLabel first = fixture.map->label();
    CHECK(first.origin != LabelId{});
    REQUIRE(fixture.map->break_lineage(DiskRole::clean).ok());
    const DiskLabel broken = fixture.open().label();
    CHECK(broken.origin == first.origin);
    REQUIRE(fixture.map->begin_anew().ok());
    const DiskLabel anew = fixture.open().label();
    CHECK(anew.origin != first.origin);
    CHECK(anew.origin != LabelId{});
    CHECK(anew.pair != broken.pair);
    CHECK(fixture.map->dirty().size() == block_count);
    MapBench other;
    CHECK(other.map->label().origin != first.origin);
}

TEST_CASE("the label of an image that has another size now keeps whose it is") {
    MapBench fixture;
    DiskLabel label = fixture.map->label();
    label.pair[0] = 5;
    label.role = DiskRole::following;
    label.vm[1] = 8;
    label.disk = 2;
    label.disks = 3;
    REQUIRE(fixture.map->set_label(label).ok());
    fixture.map.reset();
    fixture.map = DirtyBlockMap::open(fixture.path, fresh_label(64 * mib), fixture.why).value();
    CHECK_FALSE(fixture.why.empty());
    CHECK(fixture.map->dirty().size() == 1024);
    CHECK(fixture.map->label().role == DiskRole::following);
    CHECK(fixture.map->label().vm == label.vm);
    CHECK(fixture.map->label().disk == 2);
    CHECK(fixture.map->label().disks == 3);
    CHECK(fixture.map->label().origin == label.origin);
    CHECK(fixture.map->label().pair == LabelId{});
}

TEST_CASE("bits of a hostile file that belong to no block are nobody's") {
    MapBench fixture;
    fixture.clear_all();
    fixture.map.reset();
    {
        LabelFile file = LabelFile::open(fixture.path).value();
        std::ranges::fill(file.regions(), ~std::uint64_t{0});
        std::ranges::fill(file.blocks(), ~std::uint64_t{0});
    }
    CHECK(MapBench::list(fixture.open().dirty()) == range(0, block_count));
    fixture.clear_all();
    fixture.prune();
    CHECK(fixture.open_after_boot().dirty().size() == 0);
}

TEST_CASE("maps of every size around their words are whole and can be cleared") {
    for (const std::uint64_t blocks : {1, 63, 64, 65, 127, 128, 4095, 4096, 4097}) {
        for (const std::uint64_t less : {0, 512}) {
            const std::uint64_t bytes = blocks * disk_block_bytes - less;
            const auto map = DirtyBlockMap::unsaved(fresh_label(bytes)).value();
            CHECK(map->dirty().size() == blocks);
            CHECK_FALSE(map->begin_prune(DirtyBlockMap::Prune::all));
            map->clear({{0, blocks}});
            const auto prune = map->begin_prune(DirtyBlockMap::Prune::all);
            REQUIRE(prune);
            map->end_prune(*prune, true);
            CHECK_FALSE(map->begin_prune(DirtyBlockMap::Prune::all));
            REQUIRE(map->mark(bytes - 512, 512).ok());
            CHECK(MapBench::list(map->dirty()) == Blocks{blocks - 1});
        }
    }
}

TEST_CASE("an unsaved map works like another") {
    const auto map = DirtyBlockMap::unsaved(fresh_label()).value();
    CHECK(map->dirty().size() == block_count);
    map->resynced(3);
    REQUIRE(map->set_label(map->label()).ok());
    CHECK(map->dirty().size() == block_count - 1);
}

TEST_CASE("marks of several threads all arrive") {
    MapBench fixture;
    fixture.clear_all();
    fixture.prune();
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; ++t) {
        threads.emplace_back([&fixture, t] {
            for (BlockIndex block = t; block < block_count; block += 4) {
                (void)fixture.map->mark(block * disk_block_bytes, 512).ok();
                fixture.map->end_change(block * disk_block_bytes, 512, false);
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    CHECK(fixture.dirty() == range(0, block_count));
    CHECK(fixture.map->take_touched() == BlockRuns{{0, block_count}});
}

TEST_CASE("a change costs the map by its ends, and not by the blocks between them") {
    constexpr std::uint64_t disk_bytes = 64 * gib;
    constexpr std::uint64_t blocks = disk_bytes / disk_block_bytes;
    const auto map = DirtyBlockMap::unsaved(fresh_label(disk_bytes)).value();
    map->clear({{0, blocks}});
    for (int change = 0; change < 80; ++change)
        REQUIRE(map->mark(0, disk_bytes).ok());
    REQUIRE(map->mark(3 * disk_block_bytes, 512).ok());
    CHECK(map->take_touched().empty());
    for (int change = 0; change < 80; ++change)
        map->end_change(0, disk_bytes, false);
    // The small one is still in flight.
    CHECK(map->take_touched() == BlockRuns{{0, 3}, {4, blocks}});
    map->end_change(3 * disk_block_bytes, 512, false);
    map->clear({{0, 3}, {4, blocks}});
    CHECK(MapBench::list(map->dirty()) == Blocks{3});
    CHECK(map->take_touched() == BlockRuns{{3, 4}});
}

TEST_CASE("changes that overlap in flight are told apart, whatever their order") {
    MapBench fixture;
    fixture.clear_all();
    const auto bytes = [](BlockIndex blocks) { return blocks * disk_block_bytes; };
    REQUIRE(fixture.map->mark(bytes(60), bytes(10)).ok());
    REQUIRE(fixture.map->mark(bytes(65), bytes(70)).ok());
    fixture.map->end_change(bytes(60), bytes(10), false);
    CHECK(fixture.map->take_touched() == BlockRuns{{60, 65}});
    fixture.write(100, 50);
    CHECK(fixture.map->take_touched() == BlockRuns{{135, 150}});
    fixture.map->end_change(bytes(65), bytes(70), true);
    CHECK(fixture.map->take_touched() == BlockRuns{{65, 135}});
    fixture.map->clear({{0, block_count}});
    CHECK(fixture.dirty() == range(65, 135));  // failed
}
