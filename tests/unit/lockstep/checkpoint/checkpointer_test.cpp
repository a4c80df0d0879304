// SPDX-License-Identifier: Apache-2.0
// Checkpoints of a machine without KVM: whatever is written when, the other side holds RAM as of
// the cut.
#include "lockstep/checkpoint/checkpointer.h"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include "lockstep/output/packet_gate.h"
#include "support/checkpoint_bench.h"
#include "support/fake_net_backend.h"
#include "support/filling_disks.h"
#include "support/seeds.h"

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

}  // namespace

TEST_CASE("checkpointer: the other side holds RAM as of each cut", "[checkpointer]") {
    for (std::uint64_t seed = 1; seed <= seeds_in_this_build(40); ++seed) {
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
            if (bench.one_in(2)) bench.guest_fills(0, bench.pages());
            bench.cut();
            if (!bench.one_in(4)) bench.send_pages();
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
    CheckpointBench bench(options_of(1, store_pages));
    for (int time = 0; time < 5; ++time) {
        bench.protect();
        for (int number = 0; number < 4; ++number) {
            bench.guest_fills(0, 150);
            bench.epoch();
            bench.deliver_all();
        }
        bench.guest_fills(0, 180);
        bench.cut();
        bench.send_pages();  // some of it
        bench.lose_connection();
    }
    bench.lively = false;
    bench.protect();
    bench.deliver_all();
    bench.guest_fills(100, store_pages);
    bench.cut();
    CHECK_FALSE(bench.machine.stands());  // all of them found room
}

TEST_CASE("checkpointer: a dirty set without room keeps the guest standing", "[checkpointer]") {
    CheckpointBench bench(options_of(1, 180));
    bench.lively = false;
    bench.protect();
    bench.guest_fills(0, bench.pages());
    bench.cut();
    std::size_t bodies = 0;
    do {
        CHECK(bench.machine.stands());
        ++bodies;
    } while (bench.send_pages() && bodies < 3);
    CHECK(bodies == 3);
    CHECK_FALSE(bench.machine.stands());
    bench.finish_epoch();
    bench.deliver_all();
    CHECK(bench.commits() == 2);
}

TEST_CASE("checkpointer: pages written all the time are spared the faults", "[checkpointer]") {
    CheckpointBench bench(options_of(1, 300));
    bench.lively = false;
    bench.protect();
    std::uint64_t newly_written = 0;
    for (int number = 0; number < 20; ++number) {
        bench.guest_fills(10, 20);
        bench.epoch();
        bench.deliver_all();
        newly_written = bench.checkpointer->report().pages_new;
    }
    CHECK(newly_written == 0);
    CHECK(bench.checkpointer->report().pages_found == 20);
    // Cold again, they are watched again.
    for (unsigned number = 0; number < 14U + HotPages::unseen_max; ++number) {
        bench.epoch();
        bench.deliver_all();
    }
    CHECK(bench.checkpointer->report().pages_found == 0);
}

TEST_CASE("checkpointer: while a large epoch is sent, vCPUs go first", "[checkpointer]") {
    CheckpointBench::Options options = options_of(1, 6000);
    options.pages = 5000;
    CheckpointBench bench(options);
    bench.lively = false;
    bench.protect();
    CHECK_FALSE(bench.machine.vcpus_first);
    bench.guest_fills(0, 4500);
    bench.epoch();
    CHECK(bench.machine.vcpus_first);
    bench.deliver_all();  // applied past the caches
    SECTION("until the next small one") {
        bench.guest_fills(0, 10);
        bench.epoch();
    }
    SECTION("or until the backup is lost") {
        bench.lose_connection();
    }
    CHECK_FALSE(bench.machine.vcpus_first);
}

// What the backup has of such a page is what its own disk holds, not the copy that was sent last.
TEST_CASE("checkpointer: a page that reads have filled is compared with nothing older",
          "[checkpointer]") {
    FillingDisks disks;
    CheckpointBench::Options options = options_of(1, 300);
    options.checkpointer.compression.delta = true;
    options.disks = &disks;
    CheckpointBench bench(options);
    bench.lively = false;
    bench.protect();
    bench.deliver_all();
    const auto page = bench.machine.memory().page(7);
    const auto cut = [&bench] {
        bench.cut();
        while (bench.send_pages()) {
        }
        return bench.checkpointer->counts();
    };
    for (int number = 0; number < 3; ++number) {  // until a copy of it is worth keeping
        bench.guest_fills(7, 1);
        CHECK(cut().records == 1);
    }
    const std::vector<std::uint8_t> old(page.begin(), page.end());
    // A read: neither a mark nor the log names the page, if it is watched.
    for (int number = 0; number < 20; ++number)
        cut();
    disks.filled_by_reads = {7};
    std::ranges::fill(page, std::uint8_t{0x5a});
    CHECK(cut().filled == 1);
    CHECK(bench.checkpointer->counts().records == 0);
    disks.filled_by_reads.clear();
    bench.log.written(7);
    std::ranges::copy(old, page.begin());
    CHECK(cut().records == 1);
    CHECK(bench.checkpointer->counts().unchanged == 0);
    CHECK(bench.checkpointer->counts().delta == 0);
}

TEST_CASE("checkpointer: LZ4 is for the first pages of an epoch, or for all", "[checkpointer]") {
    const bool all = GENERATE(false, true);
    CheckpointBench::Options options = options_of(1, 300);
    options.checkpointer.compression.lz4 = true;
    options.checkpointer.lz4_pages_max = all ? CheckpointerOptions::lz4_all : 50;
    CheckpointBench bench(options);
    bench.lively = false;
    bench.protect();
    for (int number = 0; number < 2; ++number) {
        for (PageIndex page = 0; page < 90; ++page) {
            bench.log.written(page);
            std::ranges::fill(
                bench.machine.memory().page(page),
                static_cast<std::uint8_t>(1 + page % 7 + static_cast<unsigned>(number)));
        }
        bench.epoch();
        bench.deliver_all();
        CHECK(bench.checkpointer->counts().records == 90);
        CHECK(bench.checkpointer->counts().lz4 == (all ? 90 : 50));
    }
}

TEST_CASE(
    "checkpointer: a guest that changes its disks all the time does not keep memory from going",
    "[checkpointer]") {
    struct BusyDisks : FillingDisks {
        Result<lockstep::OutgoingMessage> next_initial() override {
            ++messages;
            return lockstep::OutgoingMessage{FrameType::block_log, std::vector<std::uint8_t>(8)};
        }
        unsigned messages = 0;
    } disks;
    CheckpointBench::Options options = options_of(1, 300);
    options.disks = &disks;
    CheckpointBench bench(options);
    bench.lively = false;
    bench.guest_fills(0, bench.pages());
    REQUIRE(bench.checkpointer->begin().ok());
    for (int i = 0; i < 1000 && !bench.checkpointer->initial_done(); ++i)
        REQUIRE(bench.checkpointer->next_initial().ok());
    CHECK(bench.checkpointer->initial_done());
    CHECK(disks.messages > 0);
}

TEST_CASE("checkpointer: last requests are not done before devices have taken them",
          "[checkpointer]") {
    FillingDisks disks;
    CheckpointBench::Options options = options_of(1, 300);
    options.disks = &disks;
    CheckpointBench bench(options);
    CHECK(bench.checkpointer->finish_last_requests());
    CHECK(bench.machine.last_requests_taken == 1);
}

TEST_CASE("checkpointer: packets wait from the first cut on, make a cut due, and go with it",
          "[checkpointer][net]") {
    EventLoop loop;  // never started
    FakeWire wire;
    PacketGate gate(loop, std::make_unique<FakeNetBackend>(wire));
    const auto send = [&gate] {
        const Bytes packet = packet_of({}, frame(60, 1));
        gate.send({packet.begin(), packet.end()});
    };
    const auto sent_by_now = [&] {
        loop.context().restart();
        loop.context().poll();
        return wire.sent().size();
    };
    CheckpointBench::Options options = options_of(1, 500);
    options.gates = {&gate};
    CheckpointBench bench(options);
    send();
    CHECK(sent_by_now() == 1);
    bench.protect();
    send();
    CHECK(sent_by_now() == 1);
    CHECK(bench.checkpointer->waiting_since());
    CHECK(
        bench.checkpointer->finish_last_requests());  // an end of the guest does not wait for them
    bench.epoch();
    CHECK_FALSE(bench.checkpointer->waiting_since());
    CHECK(sent_by_now() == 1);
    bench.deliver_all();
    CHECK(sent_by_now() == 2);
    send();
    bench.lose_connection();
    CHECK(sent_by_now() == 3);
}
