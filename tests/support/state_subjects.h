// SPDX-License-Identifier: Apache-2.0
// Devices whose state is tested, each with all that it needs around it. No thread but the caller's:
// the loop's work is done by hand, so that every test is repeatable.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>

#include "base/log.h"
#include "devices/console/serial.h"
#include "devices/net/net_device.h"
#include "devices/rng_device.h"
#include "devices/virtio/mmio_transport.h"
#include "support/block_bench.h"
#include "support/fake_net_backend.h"
#include "support/state_conformance.h"

namespace fmvm::test {

class SerialSubject : public StateSubject {
  public:
    Serial& component() override { return serial; }
    void exercise() override {
        for (std::uint64_t offset = 0; offset < Serial::register_count; ++offset) {
            std::array<std::uint8_t, 1> data{};
            serial.read(offset, data);
            serial.write(offset, data);
        }
        serial.output_ready();
    }
    void set(std::uint64_t offset, std::uint8_t value) { serial.write(offset, std::array{value}); }

    FakeIrq irq;
    FakeSink sink;
    Serial serial{irq, sink};
};

// A transport with its device.
class VirtioSubject : public StateSubject {
  public:
    static constexpr std::uint64_t ram_bytes = 128 * kib;

    // memory: what guest RAM holds; zeroes if it is empty.
    explicit VirtioSubject(const Bytes& memory) {
        if (!memory.empty()) ram.poke_bytes(GuestAddress(0), memory);
    }
    MmioTransport& component() override { return *transport; }
    // What the loop does until it would sleep.
    virtual void work() {
        loop.context().restart();
        loop.context().poll();
    }
    void exercise() override { work(); }
    // Some of its I/O in flight completes. pick(count): a number below `count`.
    virtual void complete_some(const std::function<std::size_t(std::size_t count)>&) {}
    // Of the queues of its device, which are served alike.
    virtual std::size_t queue_count() const { return 1; }
    Bytes memory() const { return ram.peek_bytes(GuestAddress(0), ram_bytes); }
    bool start(const QueueLayout& layout) {
        constexpr std::uint64_t features =
            virtio_f_version_1 | virtio_f_indirect_desc | virtio_f_event_idx;
        return TransportDriver(*transport).start(features, {layout});
    }

    GuestRam ram{ram_bytes};
    FakeIrq irq;
    EventLoop loop;
    std::unique_ptr<MmioTransport> transport;
};

class RngSubject : public VirtioSubject {
  public:
    explicit RngSubject(const Bytes& memory = {}) : VirtioSubject(memory) {
        transport = MmioTransport::create("rng", loop, device, irq).value();
    }
    ~RngSubject() override { transport.reset(); }
    RngDevice device{ram.memory()};
};

// Its disk holds every operation until it is told to let go.
class BlockSubject : public VirtioSubject {
  public:
    explicit BlockSubject(const Bytes& memory = {}, std::string serial = "state")
        : VirtioSubject(memory), device(ram.memory(), loop, disk.maker()(loop), std::move(serial)) {
        transport = MmioTransport::create("disk", loop, device, irq).value();
        disk.backend->hold(true);
    }
    ~BlockSubject() override { transport.reset(); }
    void work() override {
        VirtioSubject::work();
        while (device.poll()) {
        }
        device.prepare_to_sleep();
    }
    void complete_some(const std::function<std::size_t(std::size_t count)>& pick) override {
        if (disk.backend->held().empty()) return;
        disk.backend->release(pick(disk.backend->held().size()));
        device.poll();
    }
    void exercise() override {
        work();
        device.poll();
        disk.backend->release_all();
        device.poll();
        device.prepare_to_sleep();
    }
    MemoryDisk disk{256 * kib};
    BlockDevice device;
};

// Its packets wait until some are told to leave; every so often one comes in.
class NetSubject : public VirtioSubject {
  public:
    explicit NetSubject(const Bytes& memory = {}, MacAddress mac = {{2, 0, 0, 0, 0, 1}})
        : VirtioSubject(memory),
          backend(new FakeNetBackend(wire)),
          device(ram.memory(), loop, std::unique_ptr<NetBackend>(backend),
                 NetDevice::Options{.mac = mac}) {
        transport = MmioTransport::create("net", loop, device, irq).value();
        wire.holds = true;
        wire.room = 8;
    }
    ~NetSubject() override { transport.reset(); }
    std::size_t queue_count() const override { return NetDevice::queue_count; }
    void work() override {
        VirtioSubject::work();
        while (device.poll()) {
        }
        device.prepare_to_sleep();
    }
    void complete_some(const std::function<std::size_t(std::size_t count)>& pick) override {
        wire.give(packet_of({}, frame(60 + pick(3000), 1)));
        if (pick(4) == 0) device.announce();
        if (pick(4) == 0) wire.link = !wire.link;
        if (backend->held() != 0) backend->let_go(pick(backend->held() + 1));
        device.poll();
    }
    void exercise() override {
        work();
        backend->let_go(backend->held());
        work();
    }
    FakeWire wire;
    FakeNetBackend* backend;  // the device's
    NetDevice device;
};

// Hostile and clumsy guests are reported; a test makes thousands of them.
struct Quiet {
    Quiet() { log::set_level(log::Level::error); }
    ~Quiet() { log::set_level(log::Level::notice); }
};

}  // namespace fmvm::test
