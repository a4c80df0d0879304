// SPDX-License-Identifier: Apache-2.0
// A primary's disks: what their maps say while epochs are under way. (What is sent: replay_*.)
#include "lockstep/disks/mirrored_disks.h"

#include <catch2/catch.hpp>

#include "support/guest_ram.h"
#include "support/memory_blocks.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

constexpr std::uint64_t blocks = 16;

struct Mirrored {
    Mirrored() {
        replay::DiskLabel label;
        label.image_bytes = blocks * replay::disk_block_bytes;
        map = replay::DirtyBlockMap::unsaved(label).value();
        map->clear(every_block());
        std::vector<MirroredDisks::Disk> list;
        list.push_back({map.get(), std::make_unique<MemoryBlocks>(label.image_bytes)});
        disks.emplace(log, ram.memory(), std::move(list), replay::PayloadMode::by_reference,
                      nullptr);
        REQUIRE(disks->begin().ok());
    }
    static std::vector<replay::BlockIndex> every_block() {
        std::vector<replay::BlockIndex> all(blocks);
        for (std::size_t i = 0; i < all.size(); ++i)
            all[i] = i;
        return all;
    }
    // Of the guest, carried out at once.
    void change(std::initializer_list<replay::BlockIndex> changed) {
        for (const replay::BlockIndex block : changed) {
            REQUIRE(map->mark(block * replay::disk_block_bytes, 512).ok());
            map->end_change(block * replay::disk_block_bytes, 512, false);
        }
    }
    std::vector<replay::BlockIndex> dirty() const {
        std::vector<replay::BlockIndex> found;
        map->dirty().for_each([&](replay::BlockIndex block) { found.push_back(block); });
        return found;
    }

    GuestRam ram;
    replay::BlockLog log{replay::BlockLog::Reads::recorded};
    std::unique_ptr<replay::DirtyBlockMap> map;
    std::optional<MirroredDisks> disks;
};

using Blocks = std::vector<replay::BlockIndex>;

}  // namespace

TEST_CASE("mirrored disks: a committed epoch clears what no later one has changed, in any order") {
    Mirrored mirrored;
    mirrored.change({9, 3, 12});
    mirrored.disks->close(1);
    mirrored.change({3, 9, 1});
    mirrored.disks->close(2);
    mirrored.change({12});
    mirrored.disks->committed(1);
    CHECK(mirrored.dirty() == Blocks{1, 3, 9, 12});
    mirrored.disks->committed(2);
    CHECK(mirrored.dirty() == Blocks{12});
    mirrored.disks->close(3);
    mirrored.disks->committed(3);
    CHECK(mirrored.dirty().empty());
}

TEST_CASE("mirrored disks: what was cut and never committed stays marked") {
    Mirrored mirrored;
    mirrored.change({7, 2});
    mirrored.disks->close(1);
    mirrored.change({2, 5});
    mirrored.disks->close(2);
    mirrored.disks->committed(1);
    mirrored.disks->end();
    CHECK(mirrored.dirty() == Blocks{2, 5});
}
