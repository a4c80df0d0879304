// SPDX-License-Identifier: Apache-2.0
// What becomes of requests in flight when the queue breaks, the driver resets the device, or the
// device goes.
#include <catch2/catch.hpp>

#include "support/block_device_bench.h"

using namespace fmvm;
using namespace fmvm::test;

TEST_CASE("block device: a queue that breaks fails the device", "[block][hostile]") {
    BlockDeviceBench bench;
    bench.driver.flush();
    SECTION("in a chain") {
        bench.queue.publish(bench.queue.layout().size);
    }
    SECTION("without room for a status") {
        bench.queue.chain().readable(Bytes(16)).submit();
    }
    SECTION("by its index") {
        bench.queue.set_available_index(1000);
    }
    bench.pump();
    CHECK_FALSE(bench.transport.failures.empty());
    static_cast<void>(bench.queue.take_used());
    const auto late = bench.driver.flush();
    bench.pump();
    CHECK(bench.queue.take_used().empty());
    CHECK(bench.driver.status(late) == blk_untouched);
    bench.expect_image(0, {});
}

// The index may jump after the device looked last and before it asks for notifications. Nobody
// notifies any more, so this is the last moment to say so.
TEST_CASE("block device: a queue found broken on the way to sleep fails the device",
          "[block][hostile]") {
    BlockDeviceBench bench;
    bench.driver.flush();
    bench.device.queue_notified(0);
    bench.queue.set_available_index(1000);
    static_cast<void>(bench.device.prepare_to_sleep());
    CHECK(bench.transport.failures == std::vector<std::string>{"the available index jumped"});
}

TEST_CASE("block device: what is in flight when the queue breaks still ends", "[block][hostile]") {
    BlockDeviceBench bench;
    bench.backend->hold(true);
    bench.driver.read(0, 512);
    bench.pump();
    bench.queue.set_available_index(1000);
    bench.pump();
    CHECK_FALSE(bench.transport.failures.empty());
    bench.backend->release_all();
    bench.run_until_idle();
    CHECK(bench.queue.take_used().empty());
    bool done = false;
    bench.device.reset([&] { done = true; });
    CHECK(done);
}

TEST_CASE("block device: a reset waits for the backend and returns nothing", "[block]") {
    BlockDeviceBench bench;
    bench.backend->hold(true);
    const auto read = bench.driver.read(0, 512);
    const auto flush = bench.driver.flush();
    bench.pump();
    bool done = false;
    bench.device.reset([&] { done = true; });
    CHECK_FALSE(done);
    CHECK(bench.device.queue_states().empty());
    bench.backend->release(1);
    bench.run_until_idle();
    CHECK_FALSE(done);
    bench.backend->release(0);
    bench.run_until_idle();
    CHECK(done);
    CHECK(bench.driver.status(read) == blk_untouched);
    CHECK(bench.driver.status(flush) == blk_untouched);
    CHECK(bench.queue.take_used().empty());
    CHECK(bench.transport.interrupts == 0);
    const auto dirty = bench.ram.take_dirty_pages();  // the disk read did write
    CHECK(std::count(dirty.begin(), dirty.end(), page_of(read.data)) == 1);
}

TEST_CASE("block device: a reset withdraws what the kernel does not have yet", "[block]") {
    BlockDeviceBench bench;
    bench.device.reset([] {});
    CHECK(bench.backend->withdrawals() == 1);
}

TEST_CASE("block device: goes away with requests in flight", "[block]") {
    BlockDeviceBench bench;
    bench.backend->hold(true);
    bench.driver.read(0, 512);
    bench.pump();
    CHECK(bench.backend->held().size() == 1);
}
