// SPDX-License-Identifier: Apache-2.0
// A network card whose packets wait in a gate: what the guest sees of it, and what a state holds.
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include "devices/net/net_device.h"
#include "lockstep/output/packet_gate.h"
#include "support/fake_driver.h"
#include "support/fake_lines.h"
#include "support/fake_net_backend.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

// A card behind a gate, with no thread but the caller's.
struct GatedCard {
    explicit GatedCard(GuestMemory& memory)
        : device(memory, loop, take_gate(), {.mac = {}, .mtu = 65'535}) {}
    std::unique_ptr<PacketGate> take_gate() {
        auto made = std::make_unique<PacketGate>(loop, std::make_unique<FakeNetBackend>(wire));
        gate = made.get();
        return made;
    }
    void activate(const Virtqueue::State& send) {
        device.activate(transport, virtio_f_version_1, {{}, send, {}});
    }
    void run() {
        loop.context().restart();
        loop.context().poll();
    }
    void commit(EpochId epoch) {
        gate->commit(epoch);
        run();
    }
    // The fill of each packet that has left.
    std::string sent() const {
        std::string fills;
        for (const Bytes& packet : wire.sent())
            fills += fmt::format("{} ", packet.back());
        return fills;
    }

    EventLoop loop;  // never started
    FakeWire wire;
    FakeTransport transport;
    PacketGate* gate = nullptr;
    NetDevice device;
};

struct GatedCardBench {
    GatedCardBench() {
        Virtqueue::State state;
        state.layout = queue.layout();
        card.activate(state);
        card.gate->hold();
    }
    void submit(std::uint8_t fill, std::size_t size = 60) {
        queue.chain().readable(packet_of({}, frame(size, fill))).submit();
    }
    void send(std::uint8_t fill) {
        submit(fill);
        notify();
    }
    void notify() { card.device.queue_notified(NetDevice::send_queue); }
    Virtqueue::State state() const { return card.device.queue_states()[NetDevice::send_queue]; }

    GuestRam ram{64 * mib};
    FakeQueue queue{ram, 256};
    GatedCard card{ram.memory()};
};

}  // namespace

TEST_CASE("a card returns a held packet's chain only when it has left", "[net][output]") {
    GatedCardBench bench;
    bench.send(1);
    bench.card.gate->close_epoch(1);
    CHECK(bench.queue.take_used().empty());
    CHECK(bench.state().next_available == 0);  // still to be sent
    bench.card.commit(1);
    CHECK(bench.card.sent() == "1 ");
    CHECK(bench.queue.take_used().size() == 1);
    CHECK(bench.state().next_available == 1);
}

TEST_CASE("a card whose gate is full takes nothing, drops nothing, and goes on by itself",
          "[net][output]") {
    GatedCardBench bench;
    constexpr std::size_t size = 60'000;
    constexpr std::uint8_t fit = PacketGate::held_bytes_max / size + 1;
    constexpr std::uint8_t count = fit + 10;
    for (std::uint8_t fill = 1; fill <= count; ++fill)
        bench.submit(fill, size);
    bench.notify();
    CHECK_FALSE(bench.card.gate->has_room());
    bench.card.gate->close_epoch(1);
    bench.card.commit(1);
    CHECK(bench.card.wire.sent().size() == fit);
    bench.card.gate->close_epoch(2);
    bench.card.commit(2);
    const std::vector<Bytes> sent = bench.card.wire.sent();
    REQUIRE(sent.size() == count);
    for (std::size_t i = 0; i < count; ++i)
        CHECK(sent[i].back() == i + 1);
    CHECK(bench.queue.take_used().size() == count);
}

TEST_CASE("a card that is reset forgets held packets at once, and counts them", "[net][output]") {
    GatedCardBench bench;
    bench.send(1);
    bench.card.gate->close_epoch(1);
    bench.send(2);
    bool done = false;
    bench.card.device.reset([&] { done = true; });
    CHECK(done);
    CHECK(bench.card.device.counters().withdrawn == 2);
    CHECK_FALSE(bench.card.gate->waiting_since());
    bench.card.commit(1);
    CHECK(bench.card.sent().empty());
}

TEST_CASE("a card that goes on from a state sends again what had not left by then, in order",
          "[net][output]") {
    GatedCardBench bench;
    for (std::uint8_t fill = 1; fill <= 2; ++fill)
        bench.send(fill);
    bench.card.gate->close_epoch(1);
    bench.send(3);
    bench.card.commit(1);
    bench.send(4);
    bench.card.gate->close_epoch(2);
    const auto states = bench.card.device.queue_states();
    ByteWriter saved;
    bench.card.device.save(saved);
    CHECK(bench.card.sent() == "1 2 ");

    GatedCard other(bench.ram.memory());
    ByteReader reader(saved.bytes());
    const auto apply = other.device.decode(other.transport, virtio_f_version_1, states, reader);
    REQUIRE(apply.ok());
    apply.value()();
    other.device.queue_notified(NetDevice::send_queue);
    CHECK(other.sent() == "3 4 ");
    CHECK(bench.queue.take_used().size() == 4);
}
