// SPDX-License-Identifier: Apache-2.0
#include "devices/net/net_device.h"

#include "support/net_bench.h"
#include "support/virtio_conformance.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

// Requests of one of the three queues.
class NetSubject : public ConformanceSubject {
  public:
    explicit NetSubject(NetDevice::Queue queue) : queue_(queue) {}
    std::size_t queue() const override { return queue_; }
    std::uint64_t features() const override { return net_f_ctrl_vq | net_f_guest_announce; }
    std::unique_ptr<VirtioDevice> make(GuestMemory& memory, EventLoop& loop) override {
        auto backend = std::make_unique<FakeNetBackend>(wire_);
        loop_ = &loop;
        backend_ = backend.get();
        return std::make_unique<NetDevice>(memory, loop, std::move(backend), NetDevice::Options{});
    }
    void provoke() override {
        if (queue_ != NetDevice::receive_queue) return;
        wire_.give(packet_of({}, frame(60, 7)));
        loop_->post([backend = backend_] { backend->tell(); });
    }
    std::uint16_t submit(FakeQueue& queue) override {
        switch (queue_) {
            case NetDevice::receive_queue:
                provoke();
                return queue.chain().writable(1600).submit();
            case NetDevice::send_queue:
                return queue.chain().readable(packet_of({}, frame(60, 8))).submit();
            default:
                return queue.chain().readable(Bytes{3, 0}).writable(1).submit();
        }
    }
    void check(FakeQueue&, const UsedElement& element) override {
        constexpr std::uint32_t written[] = {net_header_size + 60, 0, 1};
        CHECK(element.written == written[queue_]);
        ++served;
        if (queue_ == NetDevice::send_queue) CHECK(wire_.sent().size() >= served);
    }
    std::size_t served = 0;

  private:
    const NetDevice::Queue queue_;
    FakeWire wire_;
    EventLoop* loop_ = nullptr;
    FakeNetBackend* backend_ = nullptr;
};

}  // namespace

TEST_CASE("net: conformance of the receive queue", "[net][conformance]") {
    NetSubject subject(NetDevice::receive_queue);
    check_virtio_conformance(subject);
}

TEST_CASE("net: conformance of the send queue", "[net][conformance]") {
    NetSubject subject(NetDevice::send_queue);
    check_virtio_conformance(subject);
}

TEST_CASE("net: conformance of the control queue", "[net][conformance]") {
    NetSubject subject(NetDevice::control_queue);
    check_virtio_conformance(subject);
}

TEST_CASE("net: the device describes its backend", "[net]") {
    NetBench bench;
    CHECK((usual_net_features & ~bench.device.features()) == 0);
    CHECK((bench.device.features() & net_f_mrg_rxbuf) != 0);
    std::array<std::uint8_t, 14> config{};
    config.fill(0x55);
    bench.device.read_config(0, config);
    CHECK(config ==
          std::array<std::uint8_t, 14>{0x52, 0x54, 0, 1, 2, 3, 1, 0, 1, 0, 0xdc, 5, 0x55, 0x55});
    FakeWire plain;
    plain.offloads = 0;
    const NetBench without(usual_net_features, plain);
    CHECK((without.device.features() &
           (host_offload_features | guest_offload_features | net_f_ctrl_guest_offloads)) == 0);
}

TEST_CASE("net: packets leave in order, whole, with the header that was meant", "[net]") {
    NetBench bench;
    bench.activate();
    const Bytes first = frame(60, 1);
    NetHeader header;
    header.buffers = 77;
    const std::uint16_t head = bench.send.chain().readable(packet_of(header, first)).submit();
    const Bytes second = packet_of({}, frame(1000, 2));
    const std::uint16_t other = bench.send.chain()
                                    .readable(std::span(second).first(5))
                                    .readable(std::span(second).subspan(5, 500))
                                    .readable(std::span(second).subspan(505))
                                    .indirect()
                                    .submit();
    bench.notify(NetDevice::send_queue);
    CHECK((bench.wire.sent() == std::vector<Bytes>{packet_of({}, first), second}));
    CHECK(bench.send.take_used() == std::vector<UsedElement>{{head, 0}, {other, 0}});
    CHECK(bench.transport.interrupts == 1);
}

TEST_CASE("net: a bad packet costs itself and a count", "[net][hostile]") {
    NetBench bench;
    bench.activate();
    NetHeader bad;
    bad.gso_type = 2;
    bench.submit(packet_of(bad, frame(60, 1)));
    bench.submit(Bytes(net_header_size - 1));
    bench.submit(Bytes(net_packet_size_max + 1));
    bench.send.chain().writable(100).submit();
    bench.submit(packet_of({}, frame(60, 2)));
    bench.notify(NetDevice::send_queue);
    CHECK((bench.wire.sent() == std::vector<Bytes>{packet_of({}, frame(60, 2))}));
    CHECK(bench.send.take_used().size() == 5);
    CHECK(bench.device.counters().bad_sent == 4);
    CHECK(bench.transport.failures.empty());
}

TEST_CASE("net: chains return in order, when their packets have left", "[net]") {
    FakeWire slow;
    slow.holds = true;
    slow.room = 2;
    NetBench bench(usual_net_features, slow);
    bench.activate();
    const std::uint16_t first = bench.submit(packet_of({}, frame(60, 1)));
    const std::uint16_t bad = bench.submit(packet_of({}, frame(10, 2)));
    const std::uint16_t third = bench.submit(packet_of({}, frame(60, 3)));
    const std::uint16_t fourth = bench.submit(packet_of({}, frame(60, 4)));
    bench.notify(NetDevice::send_queue);
    CHECK(bench.backend->held() == 2);  // and nothing more is taken
    CHECK(bench.send.take_used().empty());
    bench.backend->let_go(1);
    bench.backend->tell();
    CHECK(bench.send.take_used() == std::vector<UsedElement>{{first, 0}, {bad, 0}});
    CHECK(bench.backend->held() == 2);
    bench.backend->let_go(2);
    bench.backend->tell();
    CHECK(bench.send.take_used() == std::vector<UsedElement>{{third, 0}, {fourth, 0}});
    CHECK(bench.wire.sent().size() == 3);
}

TEST_CASE("net: what was taken is what leaves, whatever the guest writes meanwhile",
          "[net][hostile]") {
    FakeWire slow;
    slow.holds = true;
    NetBench bench(usual_net_features, slow);
    bench.activate();
    const Bytes packet = packet_of({}, frame(60, 1));
    ChainBuilder chain = bench.send.chain();
    chain.readable(packet);
    const GuestAddress address = chain.last_address();
    chain.submit();
    bench.notify(NetDevice::send_queue);
    bench.ram.poke_bytes(address, Bytes(packet.size(), 0xee));
    bench.backend->let_go(1);
    CHECK((bench.wire.sent() == std::vector<Bytes>{packet}));
}

TEST_CASE("net: a reset waits for nobody", "[net]") {
    FakeWire slow;
    slow.holds = true;
    NetBench bench(usual_net_features | net_f_mrg_rxbuf, slow);
    bench.activate();
    bench.submit(packet_of({}, frame(60, 1)));
    bench.submit(packet_of({}, frame(60, 2)));
    bench.notify(NetDevice::send_queue);
    bench.offer(100);
    bench.arrive(packet_of({}, frame(500, 3)));  // it needs more room
    bool done = false;
    bench.device.reset([&] { done = true; });
    CHECK(done);
    CHECK(bench.backend->held() == 0);
    CHECK(bench.device.counters().withdrawn == 2);
    CHECK(bench.device.queue_states().empty());
    CHECK(bench.send.take_used().empty());
    bench.run_until_idle();
}

TEST_CASE("net: the driver hears of another state of the link", "[net]") {
    NetBench bench;
    CHECK(bench.status() == 1);
    bench.activate();
    CHECK(bench.transport.config_changes == 0);
    bench.wire.link = false;
    bench.run_until_idle();
    CHECK(bench.status() == 0);
    CHECK(bench.transport.config_changes == 1);
    bench.wire.link = true;
    bench.run_until_idle();
    CHECK(bench.status() == 1);
    CHECK(bench.transport.config_changes == 2);
}

TEST_CASE("net: an announcement stands until the guest has acknowledged it", "[net]") {
    NetBench bench;
    bench.activate();
    bench.device.announce();
    CHECK(bench.status() == 3);
    CHECK(bench.transport.config_changes == 1);
    CHECK(bench.command({3, 1}) == 1);
    CHECK(bench.status() == 3);
    CHECK(bench.command({3, 0}) == 0);
    CHECK(bench.status() == 1);
    bench.device.announce();
    bench.device.reset([] {});
    CHECK(bench.status() == 1);
    bench.negotiated &= ~net_f_guest_announce;
    bench.activate();
    bench.device.announce();
    CHECK(bench.status() == 1);
    CHECK(bench.command({3, 0}) == 1);
}

TEST_CASE("net: the guest chooses among the offloads that it negotiated", "[net]") {
    NetBench bench(usual_net_features & ~net_f_guest_ecn);
    bench.activate();
    const std::uint64_t negotiated = guest_offload_features & ~net_f_guest_ecn;
    CHECK(bench.wire.accepted == negotiated);
    const auto set = [&](std::uint64_t offloads) {
        Bytes bytes{5, 0};
        for (unsigned i = 0; i < 8; ++i)
            bytes.push_back(static_cast<std::uint8_t>(offloads >> 8 * i));
        return bench.command(bytes);
    };
    CHECK(set(net_f_guest_csum) == 0);
    CHECK(bench.wire.accepted == net_f_guest_csum);
    CHECK(set(guest_offload_features) == 1);
    CHECK(set(net_f_csum) == 1);
    CHECK(bench.command({5, 0, 1}) == 1);
    CHECK(bench.wire.accepted == net_f_guest_csum);
    CHECK(set(net_f_guest_tso4) == 0);  // which is of no use without the other
    CHECK(bench.wire.accepted == 0);
    CHECK(set(0) == 0);
}

TEST_CASE("net: an unknown command is answered, and one without room breaks its queue",
          "[net][hostile]") {
    NetBench bench;
    bench.activate();
    CHECK(bench.command({0, 0, 1}) == 1);
    CHECK(bench.command({0xff, 0xff}) == 1);
    CHECK(bench.command({3}) == 1);
    CHECK(bench.transport.failures.empty());
    bench.control.chain().readable(Bytes{3, 0}).submit();
    bench.notify(NetDevice::control_queue);
    REQUIRE_FALSE(bench.transport.failures.empty());
    CHECK(bench.transport.failures[0] == "a command has no room for its answer");
}
