// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/page_packer.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <optional>

#include "support/guest_ram.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

constexpr std::uint64_t page_count = 64;
constexpr std::uint64_t slot_count = 40;
constexpr PageIndex packed_page = 3;

// Cuts of a guest, packed and sent. What is sent stays on its way until arrive().
struct PackerBench {
    explicit PackerBench(const PagePacker::Options& options)
        : packer(std::in_place, store, page_count, options) {}

    // A cut in which the guest has written these pages.
    PageCounts cut(std::initializer_list<PageIndex> pages, std::vector<PageIndex> filled = {}) {
        PageSet dirty(page_count);
        for (const PageIndex written : pages) {
            dirty.insert(written);
            packer->logged(written, epoch);
        }
        packer->begin_epoch();
        packer->make_room(dirty, dirty.size());
        staged.stage(dirty, dirty.size());
        while (staged.has_next())
            on_their_way.push_back(packer->next(epoch, staged, filled));
        staged.finish();
        ++epoch;
        return packer->counts();
    }
    void arrive() { on_their_way.clear(); }
    void write(std::uint8_t value) { std::ranges::fill(ram.memory().page(packed_page), value); }
    void write_byte(std::uint8_t value) { ram.memory().page(packed_page)[100] = value; }

    GuestRam ram{page_count * page_size};
    std::shared_ptr<PageStore> store = PageStore::create(slot_count * page_size).value();
    StagedCut staged{ram.memory(), store};
    std::optional<PagePacker> packer;
    std::vector<GatheredBody> on_their_way;
    EpochId epoch = 1;
};

}  // namespace

TEST_CASE("page packer: a page that is written often travels as a difference, or not at all") {
    PackerBench bench({.compression = {.delta = true}, .hot_pages_max = 10});
    bench.write(1);
    CHECK(bench.cut({packed_page}).records == 1);  // cold: no copy is kept
    bench.write_byte(2);
    CHECK(bench.cut({packed_page}).delta == 0);  // hot from now on
    bench.write_byte(3);
    const PageCounts changed = bench.cut({packed_page});
    CHECK(changed.records == 1);
    CHECK(changed.delta == 1);
    const PageCounts same = bench.cut({packed_page});
    CHECK(same.records == 0);
    CHECK(same.unchanged == 1);
}

TEST_CASE("page packer: a page that the backup fills itself is compared with that next time") {
    PackerBench bench({.compression = {.delta = true}, .hot_pages_max = 10});
    for (std::uint8_t value = 1; value <= 3; ++value) {
        bench.write_byte(value);
        bench.cut({packed_page});
    }
    bench.write(7);
    const PageCounts filled = bench.cut({packed_page}, {packed_page});
    CHECK(filled.filled == 1);
    CHECK(filled.records == 0);
    CHECK(bench.cut({packed_page}).unchanged == 1);
    // Outside the cut, nothing is known of it any more.
    bench.packer->filled_outside_cut(packed_page);
    const PageCounts unknown = bench.cut({packed_page});
    CHECK(unknown.unchanged == 0);
    CHECK(unknown.records == 1);
}

TEST_CASE("page packer: it gives back every slot but those on their way") {
    PackerBench bench({.compression = {.delta = true}, .hot_pages_max = 10});
    std::uint8_t value = 0;
    for (int number = 0; number < 30; ++number) {
        for (const PageIndex written : {1, 2, 3, 20})
            std::ranges::fill(bench.ram.memory().page(written), ++value);
        bench.cut({1, 2, 3, 20},
                  number % 3 == 0 ? std::vector<PageIndex>{2} : std::vector<PageIndex>{});
        if (number % 2 == 0) bench.arrive();
    }
    bench.packer.reset();
    bench.arrive();
    CHECK(bench.store->free_count() == slot_count);
}

TEST_CASE("page packer: copies of sent pages make room for a cut") {
    PackerBench bench({.compression = {.delta = true}, .hot_pages_max = 30});
    for (int number = 0; number < 3; ++number) {
        bench.cut({0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
        bench.arrive();
    }
    CHECK(bench.store->free_count() == slot_count - 10);
    PageSet all(page_count);
    for (PageIndex written = 20; written < 60; ++written)
        all.insert(written);
    bench.packer->begin_epoch();
    bench.packer->make_room(all, all.size());
    bench.staged.stage(all, all.size());
    CHECK(bench.staged.fits());
    bench.staged.drop();
}
