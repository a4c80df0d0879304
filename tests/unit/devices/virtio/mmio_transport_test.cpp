// SPDX-License-Identifier: Apache-2.0
// The registers of virtio-mmio (virtio 1.2, 4.2.2) as a driver and a hostile guest use them, with a
// virtio-blk device behind them on a real loop.
#include "devices/virtio/mmio_transport.h"

#include <catch2/catch.hpp>
#include <numeric>

#include "support/transport_bench.h"

using namespace fmvm;
using namespace fmvm::test;
using Driver = TransportDriver;

TEST_CASE("transport: what it is", "[transport]") {
    TransportBench bench;
    CHECK(bench.driver->get(Driver::magic) == 0x74726976);
    CHECK(bench.driver->get(Driver::version) == 2);
    CHECK(bench.driver->get(Driver::device_id) == 2);
    CHECK(bench.driver->get(Driver::status_register) == 0);
    CHECK(bench.driver->device_features() == bench.device.features());
    bench.driver->set(Driver::device_features_select, 2);
    CHECK(bench.driver->get(Driver::device_features_word) == 0);
    CHECK(bench.driver->get(Driver::queue_size_max) == 256);
    bench.driver->set(Driver::queue_select, 1);
    CHECK(bench.driver->get(Driver::queue_size_max) == 0);
    for (std::uint64_t offset = 0x0b0; offset <= 0x0bc; offset += 4) {
        CHECK(bench.driver->get(offset) == 0xffffffff);  // no shared memory
    }
}

TEST_CASE("transport: a driver comes, works, goes and comes back", "[transport]") {
    TransportBench bench;
    for (int cycle = 0; cycle < 5; ++cycle) {
        REQUIRE(bench.initialise());
        CHECK(bench.works());
        CHECK(bench.works());
        CHECK(bench.driver->get(Driver::interrupt_status) == 1);
        bench.driver->set(Driver::interrupt_acknowledge, 1);
        CHECK(bench.driver->get(Driver::interrupt_status) == 0);
        bench.driver->reset();
        CHECK(bench.driver->status() == 0);
        CHECK(bench.driver->get(Driver::queue_ready) == 0);
        const auto state = bench.transport->state();
        CHECK(state.driver_features == 0);
        CHECK(state.queues[0].size == 0);
        bench.use_new_queue();
    }
}

TEST_CASE("transport: notified before the device is active", "[transport]") {
    TransportBench bench;
    bench.block.flush();
    bench.driver->notify(0);
    bench.driver->notify(1);
    bench.driver->notify(0xffffffff);
    bench.loop.run_sync([] {});
    CHECK(bench.queue.used_index() == 0);
    REQUIRE(bench.initialise());
    CHECK(bench.returned(1));  // found without another notification
}

TEST_CASE("transport: requests that were there before the device was", "[transport]") {
    TransportBench bench;
    const auto first = bench.block.write(1, Bytes(512, 1));
    const auto second = bench.block.write(2, Bytes(512, 2));
    REQUIRE(bench.initialise());
    CHECK(bench.returned(2));
    CHECK(bench.block.status(first) == blk_ok);
    CHECK(bench.block.status(second) == blk_ok);
}

TEST_CASE("transport: features that were not offered are refused", "[transport][hostile]") {
    TransportBench bench;
    const auto features =
        GENERATE(values<std::uint64_t>({usual_features | 1ULL << 63, usual_features | 1ULL << 5,
                                        usual_features | 1, ~0ULL, 0, virtio_f_event_idx}));
    CHECK_FALSE(bench.initialise(features));
    bench.driver->add_status(Driver::driver_ok);  // 3.1.1: not without FEATURES_OK
    CHECK((bench.driver->status() & (Driver::driver_ok | Driver::features_ok)) == 0);
    bench.block.flush();
    bench.driver->notify(0);
    bench.loop.run_sync([] {});
    CHECK(bench.queue.used_index() == 0);
    // The driver may think again.
    bench.driver->set_driver_features(usual_features);
    bench.driver->add_status(Driver::features_ok);
    CHECK((bench.driver->status() & Driver::features_ok) != 0);
}

TEST_CASE("transport: features stand once they are agreed", "[transport]") {
    TransportBench bench;
    bench.driver->set_driver_features(usual_features);
    bench.driver->add_status(Driver::features_ok);
    bench.driver->set_driver_features(~0ULL);
    bench.driver->set(Driver::driver_features_select, 2);
    bench.driver->set(Driver::driver_features_word, 1);
    CHECK(bench.transport->state().driver_features == usual_features);
}

TEST_CASE("transport: FEATURES_OK and DRIVER_OK in one write", "[transport]") {
    TransportBench bench;
    bench.driver->set_driver_features(usual_features);
    bench.driver->set_queue(0, bench.queue.layout());
    bench.driver->set(Driver::status_register, 15);
    CHECK(bench.driver->status() == 15);
    CHECK(bench.works());
}

TEST_CASE("transport: the driver cannot take status bits back or set ours", "[transport]") {
    TransportBench bench;
    bench.driver->set(Driver::status_register, Driver::acknowledge | Driver::driver);
    bench.driver->set(Driver::status_register, Driver::acknowledge);
    CHECK(bench.driver->status() == 3);
    bench.driver->add_status(Driver::needs_reset);
    CHECK(bench.driver->status() == 3);
}

TEST_CASE("transport: queue sizes", "[transport][hostile]") {
    TransportBench bench;
    const auto bad = GENERATE(values<std::uint32_t>({0, 3, 255, 257, 512, 0x10000, 0x80000000}));
    bench.driver->set(Driver::queue_size, bad);
    bench.driver->set(Driver::queue_ready, 1);
    CHECK(bench.driver->get(Driver::queue_ready) == 0);  // there is no size yet
    REQUIRE(bench.initialise());
    bench.driver->set(Driver::queue_size, bad);
    CHECK(bench.transport->state().queues[0].size == 16);
}

TEST_CASE("transport: a queue that is ready holds still", "[transport][hostile]") {
    TransportBench bench;
    const QueueLayout layout = bench.queue.layout();
    bench.driver->set_queue(0, layout);
    bench.driver->set(Driver::queue_ready, 1);  // twice
    bench.driver->set(Driver::queue_size, 8);
    bench.driver->set(Driver::queue_descriptors, 0);
    bench.driver->set(Driver::queue_driver, 0);
    bench.driver->set(Driver::queue_device + 4, 7);
    const QueueLayout kept = bench.transport->state().queues[0];
    CHECK(kept.ready);
    CHECK(kept.size == layout.size);
    CHECK(kept.descriptors == layout.descriptors);
    CHECK(kept.available == layout.available);
    CHECK(kept.used == layout.used);

    bench.driver->set(Driver::queue_ready, 0);  // before DRIVER_OK it may think again
    bench.driver->set(Driver::queue_size, 8);
    CHECK(bench.transport->state().queues[0].size == 8);
}

TEST_CASE("transport: queues stand while the device is live", "[transport][hostile]") {
    TransportBench bench;
    REQUIRE(bench.initialise());
    bench.driver->set(Driver::queue_ready, 0);
    bench.driver->set(Driver::queue_ready, 2);
    bench.driver->set(Driver::queue_size, 4);
    CHECK(bench.driver->get(Driver::queue_ready) == 1);
    CHECK(bench.works());
}

TEST_CASE("transport: a queue that does not exist", "[transport][hostile]") {
    TransportBench bench;
    for (const std::uint32_t index : {1U, 2U, 0x80000000U, 0xffffffffU}) {
        bench.driver->set_queue(index, bench.queue.layout());
        CHECK(bench.driver->get(Driver::queue_ready) == 0);
    }
    REQUIRE(bench.initialise());
    CHECK(bench.works());
}

TEST_CASE("transport: live without its queue", "[transport][hostile]") {
    TransportBench bench;
    QueueLayout layout = bench.queue.layout();
    layout.ready = false;
    REQUIRE(bench.driver->initialise(usual_features, {layout}));
    bench.block.flush();
    bench.driver->notify(0);
    bench.loop.run_sync([] {});
    CHECK(bench.queue.used_index() == 0);
    CHECK((bench.driver->status() & Driver::needs_reset) == 0);
    bench.use_new_queue();
    REQUIRE(bench.initialise());
    CHECK(bench.works());
}

TEST_CASE("transport: accesses of odd size or place", "[transport][hostile]") {
    TransportBench bench;
    REQUIRE(bench.initialise());
    CHECK(read(*bench.transport, 0, 1) == std::vector<std::uint8_t>{0});
    CHECK(read(*bench.transport, 0, 2) == std::vector<std::uint8_t>(2, 0));
    CHECK(read(*bench.transport, 0, 8) == std::vector<std::uint8_t>(8, 0));
    CHECK(read(*bench.transport, 2, 4) == std::vector<std::uint8_t>(4, 0));
    CHECK(read(*bench.transport, 0xf00, 4) == std::vector<std::uint8_t>(4, 0));
    for (const std::size_t size : {1, 2, 8}) {
        const std::vector<std::uint8_t> zeroes(size);
        bench.transport->write(Driver::status_register, zeroes);
    }
    bench.transport->write(Driver::status_register + 1, std::vector<std::uint8_t>(4));
    CHECK((bench.driver->status() & Driver::driver_ok) != 0);  // none of them was a reset
    CHECK(bench.works());
}

TEST_CASE("transport: every register survives every value", "[transport][hostile]") {
    TransportBench bench;
    for (std::uint64_t offset = 0; offset < 0x200; offset += 4) {
        if (offset == Driver::status_register) continue;
        for (const std::uint32_t value : {0U, 1U, 0x80000000U, 0xffffffffU}) {
            bench.driver->set(offset, value);
            static_cast<void>(bench.driver->get(offset));
        }
    }
    REQUIRE(bench.initialise());
    CHECK(bench.works());
}

TEST_CASE("transport: the configuration, piece by piece and across its end", "[transport]") {
    TransportBench bench;
    const auto config = bench.device.config();
    const std::vector<std::uint8_t> all(config.begin(), config.end());
    for (const std::size_t size : {1, 2, 4, 8}) {
        for (std::size_t at = 0; at < all.size() + 8; ++at) {
            std::vector<std::uint8_t> expected(size, 0);
            for (std::size_t i = 0; i < size && at + i < all.size(); ++i)
                expected[i] = all[at + i];
            CHECK(read(*bench.transport, Driver::config + at, size) == expected);
        }
    }
    CHECK(read(*bench.transport, ~0ULL, 8) == std::vector<std::uint8_t>(8, 0));
    bench.driver->set(Driver::config, 0);  // not writable
    CHECK(read(*bench.transport, Driver::config, 1)[0] == all[0]);
}

TEST_CASE("transport: a broken queue asks for a reset, which heals", "[transport][hostile]") {
    TransportBench bench;
    REQUIRE(bench.initialise());
    CHECK(bench.works());
    // Before the queue breaks: a loop that still looks at it notices without being notified.
    bench.driver->set(Driver::interrupt_acknowledge, 3);
    SECTION("a bad chain") {
        bench.queue.publish(99);
    }
    SECTION("a jump") {
        bench.queue.set_available_index(5000);
    }
    bench.driver->notify(0);
    REQUIRE(bench.needs_reset());
    // 2.1.2: a config interrupt; it comes right behind the bit.
    CHECK(eventually([&] { return (bench.driver->get(Driver::interrupt_status) & 2) != 0; }));
    CHECK(bench.transport->state().status == (15 | Driver::needs_reset));
    bench.driver->reset();
    CHECK(bench.driver->status() == 0);
    bench.use_new_queue();
    REQUIRE(bench.initialise());
    CHECK(bench.works());
}

TEST_CASE("transport: a broken device leaves its neighbour alone", "[transport][hostile]") {
    TransportBench bench;
    TransportBench neighbour;
    REQUIRE(bench.initialise());
    REQUIRE(neighbour.initialise());
    bench.queue.publish(99);
    bench.driver->notify(0);
    REQUIRE(bench.needs_reset());
    CHECK(neighbour.works());
    CHECK((neighbour.driver->status() & Driver::needs_reset) == 0);
}

TEST_CASE("transport: two devices on one loop, one of them broken", "[transport][hostile]") {
    TransportBench bench;
    FakeIrq irq;
    MemoryDisk disk;
    std::optional<BlockDevice> device;
    std::unique_ptr<MmioTransport> transport;
    bench.loop.run_sync([&] {
        device.emplace(bench.ram.memory(), bench.loop, disk.maker()(bench.loop), "second");
        transport = MmioTransport::create("second", bench.loop, *device, irq).value();
    });
    FakeQueue broken(bench.ram, 16);
    broken.publish(99);
    Driver second(*transport);
    REQUIRE(second.initialise(usual_features, {broken.layout()}));
    REQUIRE(irq.wait_until([&] { return (second.status() & Driver::needs_reset) != 0; }));
    REQUIRE(bench.initialise());
    CHECK(bench.works());
    CHECK((bench.driver->status() & Driver::needs_reset) == 0);
    bench.loop.stop();  // before the second device goes
}
