// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/staged_cut.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "support/guest_ram.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

// A guest whose pages hold their numbers.
struct CutBench {
    explicit CutBench(std::uint64_t pages, std::uint64_t slots)
        : ram(pages * page_size), store(PageStore::create(slots * page_size).value()) {
        for (PageIndex page = 0; page < pages; ++page)
            fill(page, number_of(page));
    }
    static std::uint8_t number_of(PageIndex page) { return static_cast<std::uint8_t>(page % 251); }
    void fill(PageIndex page, std::uint8_t value) {
        std::ranges::fill(ram.memory().page(page), value);
    }
    void stage(std::initializer_list<PageIndex> pages) {
        PageSet dirty(ram.memory().page_count());
        for (const PageIndex page : pages)
            dirty.insert(page);
        cut.stage(dirty, pages.size());
    }

    GuestRam ram;
    std::shared_ptr<PageStore> store;
    StagedCut cut{ram.memory(), store};
};

}  // namespace

TEST_CASE("staged cut: pages are handed out as they were while the guest stood") {
    constexpr PageIndex pages = 2000;  // the helper copies, too
    CutBench bench(pages, pages);
    PageSet all(pages);
    all.insert_all();
    bench.cut.stage(all, pages);
    CHECK(bench.cut.fits());
    for (PageIndex page = 0; page < pages; ++page)
        bench.fill(page, 255);
    for (PageIndex page = 0; page < pages; ++page) {
        REQUIRE(bench.cut.has_next());
        const StagedCut::Page staged = bench.cut.take();
        REQUIRE(staged.page == page);
        const PageBytes bytes = bench.cut.bytes(staged);
        REQUIRE(std::ranges::all_of(
            bytes, [&](std::uint8_t byte) { return byte == CutBench::number_of(page); }));
        bench.store->free(staged.slot);
    }
    CHECK_FALSE(bench.cut.has_next());
    CHECK_FALSE(bench.cut.empty());
    bench.cut.finish();
    CHECK(bench.cut.empty());
    CHECK(bench.store->free_count() == pages);
}

TEST_CASE("staged cut: only its own pages are found in it") {
    CutBench bench(100, 100);
    bench.stage({3, 70});
    bench.fill(70, 255);
    REQUIRE(bench.cut.find(70) != nullptr);
    CHECK(*bench.cut.find(70) == 70);
    CHECK(bench.cut.find(71) == nullptr);
    CHECK(bench.cut.find(0) == nullptr);
}

TEST_CASE("staged cut: a page without a slot is read from the guest, until all are packed") {
    CutBench bench(100, 2);
    bench.stage({5, 6, 7});
    CHECK_FALSE(bench.cut.fits());
    CHECK(bench.cut.find(7) == bench.ram.memory().page(7).data());
    for (const PageIndex page : {5, 6, 7}) {
        const StagedCut::Page staged = bench.cut.take();
        CHECK(staged.page == page);
        CHECK((staged.slot == PageStore::none) == (page == 7));
        CHECK(bench.cut.bytes(staged)[0] == page);
        if (staged.slot != PageStore::none) bench.store->free(staged.slot);
    }
    CHECK_FALSE(bench.cut.fits());
    bench.cut.finish();
    CHECK(bench.cut.fits());
}

TEST_CASE("staged cut: what is dropped gives back the slots that nobody took") {
    CutBench bench(100, 10);
    bench.stage({1, 2, 3, 4});
    bench.store->free(bench.cut.take().slot);
    bench.cut.drop();
    CHECK(bench.cut.empty());
    CHECK(bench.store->free_count() == 10);
    bench.stage({9});
    CHECK(bench.cut.take().page == 9);
}
