// SPDX-License-Identifier: Apache-2.0
// Checkpoints of a machine without KVM: whatever is written when, the other side holds RAM as of
// the cut.
#include "lockstep/checkpointer.h"

#include <catch2/catch.hpp>

#include "support/checkpoint_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

CheckpointBench::Options options_of(std::uint64_t seed, std::uint64_t store_pages) {
    CheckpointBench::Options options;
    options.seed = seed;
    options.checkpointer.store_bytes = store_pages * page_size;
    options.checkpointer.hot_pages = seed % 4 != 0;
    options.checkpointer.compression.delta = seed % 3 != 0;
    options.checkpointer.compression.lz4 = seed % 5 == 0;
    options.checkpointer.verify_every = seed % 2 == 0 ? 3 : 0;
    return options;
}

void write_pages(CheckpointBench& bench, PageIndex first, std::uint64_t count) {
    for (PageIndex page = first; page < first + count; ++page)
        bench.guest_writes(page);
}

// Nothing written, but what is pending after the initial copy is sent.
void settle(CheckpointBench& bench) {
    bench.log.after_watch(nullptr);
    bench.cut();
    while (!bench.checkpointer->next_pages().empty()) {
    }
}

}  // namespace

TEST_CASE("checkpointer: the other side holds RAM as of each cut", "[checkpointer]") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        INFO("seed " << seed);
        // Some hold any dirty set, in others most do not fit.
        CheckpointBench bench(options_of(seed, 8 + seed * 7 % 500));
        bench.write_some();
        bench.protect();
        for (int step = 0; step < 30; ++step) {
            bench.write_some();
            if (bench.one_in(2)) bench.deliver(bench.below(12));
            if (!bench.one_in(8)) {
                bench.epoch();
                continue;
            }
            // The backup is lost in the middle of an epoch, and there is another.
            bench.cut();
            if (bench.one_in(2)) bench.send_pages();
            bench.lose_connection();
            bench.write_some();
            bench.protect();
        }
        bench.deliver_all();
        CHECK(bench.commits() > 0);
    }
}

TEST_CASE("checkpointer: a lost backup costs no staging memory", "[checkpointer]") {
    constexpr std::uint64_t store_pages = 200;
    CheckpointBench::Options options = options_of(1, store_pages);
    CheckpointBench bench(options);
    for (int time = 0; time < 5; ++time) {
        bench.protect();
        for (int number = 0; number < 4; ++number) {
            write_pages(bench, 0, 150);
            bench.epoch();
        }
        write_pages(bench, 0, 180);
        bench.cut();
        bench.send_pages();  // some of it
        bench.lose_connection();
    }
    bench.begin();
    bench.copy_initially();
    settle(bench);
    write_pages(bench, 100, store_pages);
    bench.cut();
    CHECK_FALSE(bench.machine.stands());  // all of them found room
}

TEST_CASE("checkpointer: only pages without room keep the guest standing", "[checkpointer]") {
    CheckpointBench bench(options_of(1, 180));
    bench.protect();
    settle(bench);
    const auto all = static_cast<PageIndex>(bench.pages());
    for (PageIndex page = 0; page < all; ++page)
        bench.log.written(page);
    for (PageIndex page = 0; page < all; ++page)
        std::ranges::generate(bench.machine.memory().page(page),
                              [&] { return static_cast<std::uint8_t>(bench.below(256)); });
    bench.cut();
    CHECK(bench.machine.stands());
    std::size_t bodies_standing = 0;
    std::size_t bodies = 0;
    while (!bench.checkpointer->next_pages().empty()) {
        ++bodies;
        if (bench.machine.stands()) ++bodies_standing;
    }
    CHECK(bodies_standing == 1);  // 140 pages do not fit: two bodies
    CHECK(bodies == 3);
    CHECK_FALSE(bench.machine.stands());
}

TEST_CASE("checkpointer: pages written all the time are spared the faults", "[checkpointer]") {
    CheckpointBench bench(options_of(1, 300));
    bench.log.after_watch(nullptr);
    bench.protect();
    std::uint64_t newly_written = 0;
    for (int number = 0; number < 20; ++number) {
        write_pages(bench, 10, 20);
        bench.cut();
        newly_written = bench.checkpointer->report().pages_new;
        while (!bench.checkpointer->next_pages().empty()) {
        }
    }
    CHECK(newly_written == 0);
    CHECK(bench.checkpointer->report().pages_found == 20);
    // Cold again, they are watched again.
    for (int number = 0; number < HotPages::cold_after + 2; ++number) {
        bench.cut();
        while (!bench.checkpointer->next_pages().empty()) {
        }
    }
    CHECK(bench.checkpointer->report().pages_found == 0);
}
