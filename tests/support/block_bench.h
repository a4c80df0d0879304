// SPDX-License-Identifier: Apache-2.0
// A BlockDevice on the workbench: guest RAM, a queue, a driver and a backend around it, and no
// thread but the caller's, so that every test is repeatable to the byte.
#pragma once

#include <boost/asio/io_context.hpp>

#include "devices/block/block_device.h"
#include "support/block_driver.h"
#include "support/fake_lines.h"
#include "support/faulty_backend.h"

namespace fmvm::test {

class BlockBench {
  public:
    using MakeBackend = std::function<std::unique_ptr<BlockBackend>(EventLoop&)>;
    struct Options {
        std::uint64_t ram_bytes = 1 * mib;
        std::uint16_t queue_size = 64;
        std::uint64_t features = virtio_f_version_1;
        std::string serial = "fmvm-test";
    };

    BlockBench(const MakeBackend& make_backend, const Options& options)
        : ram(options.ram_bytes),
          queue(ram, options.queue_size),
          driver(queue),
          device(ram.memory(), loop, make_backend(loop), options.serial),
          features_(options.features) {
        driver.use_indirect((options.features & virtio_f_indirect_desc) != 0);
    }

    // The state that a driver which negotiated the features leaves behind for queue 0.
    Virtqueue::State fresh_state() const {
        Virtqueue::State state;
        state.layout = queue.layout();
        state.event_index = (features_ & virtio_f_event_idx) != 0;
        state.indirect = (features_ & virtio_f_indirect_desc) != 0;
        return state;
    }
    void activate() { activate(fresh_state()); }
    void activate(const Virtqueue::State& state) { device.activate(transport, features_, {state}); }

    // What the loop does when the driver notified: everything that can be done now, then sleep.
    void pump() {
        device.queue_notified(0);
        run_until_idle();
    }
    void run_until_idle() {
        do {
            while (device.poll()) {
            }
        } while (device.prepare_to_sleep());
    }
    // Waits for a backend that works in the background; false when time runs out.
    bool pump_until_returned(std::size_t count) {
        const auto deadline = std::chrono::steady_clock::now() + wait_limit;
        pump();
        while (static_cast<std::uint16_t>(queue.used_index()) != count) {
            if (std::chrono::steady_clock::now() > deadline) return false;
            loop.context().restart();
            loop.context().run_one_for(std::chrono::milliseconds(100));
            run_until_idle();
        }
        return true;
    }

    GuestRam ram;
    EventLoop loop;  // never started
    FakeTransport transport;
    FakeQueue queue;
    BlockDriver driver;
    BlockDevice device;

  private:
    const std::uint64_t features_;
};

// The usual bench: a disk in memory behind a FaultyBackend.
struct MemoryDisk {
    explicit MemoryDisk(std::uint64_t size = 1 * mib, const MemoryBackend::Options& options = {})
        : image(std::make_shared<std::vector<std::uint8_t>>(size)), backend_options(options) {}

    BlockBench::MakeBackend maker() {
        return [this](EventLoop&) {
            auto made = std::make_unique<FaultyBackend>(
                std::make_unique<MemoryBackend>(image, backend_options));
            backend = made.get();
            return made;
        };
    }

    SharedImage image;
    MemoryBackend::Options backend_options;
    FaultyBackend* backend = nullptr;  // the one made last
};

}  // namespace fmvm::test
