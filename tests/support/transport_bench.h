// SPDX-License-Identifier: Apache-2.0
// The registers of a virtio-blk device, with the device on a real loop behind them.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/log.h"
#include "devices/virtio/mmio_transport.h"
#include "support/block_bench.h"

namespace fmvm::test {

inline constexpr std::uint64_t usual_features = virtio_f_version_1;

struct TransportBench {
    TransportBench() {
        log::set_level(log::Level::error);  // failures on purpose are no news
        transport = MmioTransport::create("test", loop, device, irq).value();
        driver.emplace(*transport);
        loop.start();
    }
    ~TransportBench() {
        loop.stop();
        log::set_level(log::Level::notice);
    }
    bool initialise(std::uint64_t features = usual_features) {
        return driver->initialise(features, {queue.layout()});
    }
    bool returned(std::uint16_t index) {
        return irq.wait_until([&] { return queue.used_index() == index; });
    }
    // One flush through the whole device.
    bool works() {
        const auto index = static_cast<std::uint16_t>(queue.used_index() + 1);
        const auto request = block.flush();
        driver->notify(0);
        return returned(index) && block.status(request) == blk_ok;
    }
    bool needs_reset() {
        return irq.wait_until(
            [&] { return (driver->status() & TransportDriver::needs_reset) != 0; });
    }
    void use_new_queue() {
        std::destroy_at(&queue);
        std::construct_at(&queue, ram, std::uint16_t{16});
    }

    GuestRam ram{256 * kib};
    FakeIrq irq;
    MemoryDisk disk;
    EventLoop loop;
    BlockDevice device{ram.memory(), loop, disk.maker()(loop), "test"};
    std::unique_ptr<MmioTransport> transport;
    FakeQueue queue{ram, 16};
    BlockDriver block{queue};
    std::optional<TransportDriver> driver;
};

// As a guest reads them.
inline std::vector<std::uint8_t> read(MmioTransport& transport, std::uint64_t offset,
                                      std::size_t size) {
    std::vector<std::uint8_t> data(size, 0x55);
    transport.read(offset, data);
    return data;
}

}  // namespace fmvm::test
