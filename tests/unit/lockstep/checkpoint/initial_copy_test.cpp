// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/initial_copy.h"

#include <catch2/catch.hpp>

#include "support/checkpoint_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

struct CopyBench {
    explicit CopyBench(std::uint64_t pages) : machine(pages), log(pages) {
        REQUIRE(log.start().ok());
        copy.emplace(machine, log, *store, PageCompression{});
    }
    void write(PageIndex page, std::uint8_t value) {
        log.written(page);
        machine.memory().page(page)[9] = value;
    }
    // The pages of the next body; none when the copy is done.
    std::vector<PageIndex> next() {
        const std::vector<std::uint8_t> body = copy->next().value().flat();
        std::vector<PageIndex> pages;
        if (body.empty()) return pages;
        REQUIRE(check_pages_body(body, machine.memory().page_count()).ok());
        for_each_page(body, [&pages](const PageRecord& record) {
            pages.push_back(record.page);
            return true;
        });
        return pages;
    }

    FakeMachine machine;
    FakeDirtyLog log;
    std::shared_ptr<PageStore> store = PageStore::create(64 * page_size).value();
    std::optional<InitialCopy> copy;
};

using Pages = std::vector<PageIndex>;

}  // namespace

TEST_CASE(
    "initial copy: pages of zeroes do not travel, and one round is enough for a quiet guest") {
    CopyBench bench(5000);
    bench.write(7, 1);
    bench.write(4999, 1);
    CHECK(bench.next() == Pages{7});  // the batches in between have nothing
    CHECK_FALSE(bench.copy->done());
    CHECK(bench.next() == Pages{4999});
    CHECK(bench.next().empty());
    CHECK(bench.copy->done());
    CHECK(bench.copy->percent() == 100);
    PageSet rest(5000);
    bench.copy->take_rest(rest);
    CHECK(rest.size() == 0);
}

TEST_CASE("initial copy: what is written meanwhile goes with the first cut, also by the VMM") {
    CopyBench bench(300);
    bench.write(200, 1);
    REQUIRE(bench.next() == Pages{200});
    bench.write(200, 0);  // zeroes travel now, because the backup has something else
    bench.machine.memory().page(77)[0] = 5;
    bench.machine.memory().mark_dirty(bench.machine.memory().page_address(77), 1);
    REQUIRE(bench.next().empty());
    PageSet rest(300);
    bench.copy->take_rest(rest);
    CHECK(rest.size() == 2);
    CHECK(rest.contains(200));
    CHECK(rest.contains(77));
    PageSet again(300);
    bench.copy->take_rest(again);
    CHECK(again.size() == 0);
}

TEST_CASE("initial copy: rounds end, however fast the guest writes") {
    constexpr PageIndex pages = 9000;
    CopyBench bench(pages);
    for (PageIndex page = 0; page < pages; ++page)
        bench.write(page, 1);
    std::size_t sent = 0;
    std::uint8_t value = 1;
    while (!bench.copy->done()) {
        sent += bench.next().size();
        ++value;
        for (PageIndex page = 0; page < pages; ++page)
            bench.write(page, value);
    }
    CHECK(sent == pages);  // a second round would not shrink the rest
    PageSet rest(pages);
    bench.copy->take_rest(rest);
    CHECK(rest.size() == pages);
}
