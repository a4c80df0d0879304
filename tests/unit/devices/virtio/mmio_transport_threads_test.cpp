// SPDX-License-Identifier: Apache-2.0
// Resets that come while the device works, from one vCPU and from two.
#include <catch2/catch.hpp>
#include <future>
#include <thread>

#include "support/transport_bench.h"

using namespace fmvm;
using namespace fmvm::test;
using Driver = TransportDriver;

TEST_CASE("transport: a reset in the middle of I/O waits for it", "[transport][threads]") {
    TransportBench bench;
    REQUIRE(bench.initialise());
    bench.loop.run_sync([&] { bench.disk.backend->hold(true); });
    const auto request = bench.block.read(0, 512);
    bench.driver->notify(0);
    std::size_t held = 0;
    const auto taken = [&] {
        bench.loop.run_sync([&] { held = bench.disk.backend->held().size(); });
        return held == 1;
    };
    REQUIRE(eventually(taken));

    auto reset = std::async(std::launch::async, [&] { bench.driver->reset(); });
    // The device has begun the reset once it has given up its queue.
    REQUIRE(eventually([&] {
        bool gone = false;
        bench.loop.run_sync([&] { gone = bench.device.queue_states().empty(); });
        return gone;
    }));
    CHECK(bench.driver->status() != 0);             // 2.4.2: not done before it is done
    bench.driver->set(Driver::status_register, 1);  // and nothing begins meanwhile
    CHECK(reset.wait_for(std::chrono::seconds(0)) == std::future_status::timeout);

    bench.loop.run_sync([&] {
        bench.disk.backend->release_all();
        bench.disk.backend->hold(false);
    });
    REQUIRE(reset.wait_for(wait_limit) == std::future_status::ready);
    CHECK(bench.driver->status() == 0);
    CHECK(bench.block.status(request) == blk_untouched);
    CHECK(bench.queue.used_index() == 0);
    bench.use_new_queue();
    REQUIRE(bench.initialise());
    CHECK(bench.works());
}

TEST_CASE("transport: resets and work from two vCPUs at once", "[transport][threads]") {
    TransportBench bench;
    std::atomic<bool> stop{false};
    std::thread other([&] {
        while (!stop) {
            bench.driver->notify(0);
            static_cast<void>(bench.driver->status());
            static_cast<void>(read(*bench.transport, Driver::config, 4));
            static_cast<void>(bench.transport->state());
        }
    });
    for (int cycle = 0; cycle < 30; ++cycle) {
        bench.use_new_queue();
        CHECK(bench.initialise());
        CHECK(bench.works());
        bench.driver->reset();
    }
    stop = true;
    other.join();
}
