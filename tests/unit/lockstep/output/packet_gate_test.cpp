// SPDX-License-Identifier: Apache-2.0
#include "lockstep/output/packet_gate.h"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include "support/fake_net_backend.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

// A gate before a wire, with no thread but the caller's.
struct PacketGateBench {
    PacketGateBench() {
        gate.on_change([this] { ++changes; });
        gate.on_waiting([this] { ++waits; });
    }
    void send(std::uint8_t number, std::size_t size = 60) {
        const Bytes packet = packet_of({}, frame(size, number));
        gate.send({packet.begin(), packet.end()});
    }
    // What the loop does.
    void settle() {
        loop.context().restart();
        loop.context().poll();
    }
    void commit(EpochId epoch) {
        gate.commit(epoch);
        settle();
    }
    std::string sent() const {
        std::string numbers;
        for (const Bytes& packet : wire.sent())
            numbers += fmt::format("{} ", packet.back());
        return numbers;
    }

    EventLoop loop;  // never started
    FakeWire wire;
    FakeNetBackend* backend = new FakeNetBackend(wire);  // the gate's
    PacketGate gate{loop, std::unique_ptr<NetBackend>(backend)};
    int changes = 0;
    int waits = 0;
};

}  // namespace

TEST_CASE("an open packet gate lets packets pass", "[net][output]") {
    PacketGateBench bench;
    bench.send(1);
    CHECK(bench.sent() == "1 ");
    CHECK(bench.gate.take_left() == 1);
    CHECK(bench.waits == 0);
    CHECK_FALSE(bench.gate.waiting_since());
}

TEST_CASE("packets leave with the commit of their epoch, in order", "[net][output]") {
    PacketGateBench bench;
    bench.gate.hold();
    bench.send(1);
    bench.send(2);
    CHECK(bench.waits == 1);
    CHECK(bench.gate.waiting_since());
    bench.gate.close_epoch(1);
    CHECK_FALSE(bench.gate.waiting_since());
    bench.send(3);
    CHECK(bench.waits == 2);
    CHECK(bench.sent().empty());
    bench.commit(1);
    CHECK(bench.sent() == "1 2 ");
    CHECK(bench.gate.take_left() == 2);
    CHECK(bench.changes == 1);
    bench.gate.close_epoch(2);
    bench.gate.close_epoch(3);
    bench.commit(3);
    CHECK(bench.sent() == "1 2 3 ");
}

TEST_CASE("a commit of many epochs releases all of them, and no more", "[net][output]") {
    PacketGateBench bench;
    bench.gate.hold();
    for (std::uint8_t i = 1; i <= 4; ++i) {
        bench.send(i);
        bench.gate.close_epoch(i);
    }
    bench.commit(3);
    CHECK(bench.sent() == "1 2 3 ");
}

TEST_CASE("an opened packet gate lets everything go, and counts epochs anew", "[net][output]") {
    PacketGateBench bench;
    bench.gate.hold();
    bench.send(1);
    bench.gate.close_epoch(7);
    bench.send(2);
    bench.commit(6);
    bench.gate.open();
    CHECK_FALSE(bench.gate.waiting_since());
    bench.settle();
    CHECK(bench.sent() == "1 2 ");
    bench.send(3);
    bench.gate.hold();
    bench.send(4);
    bench.gate.close_epoch(1);
    bench.settle();
    CHECK(bench.sent() == "1 2 3 ");
    bench.commit(1);
    CHECK(bench.sent() == "1 2 3 4 ");
}

TEST_CASE("what an opened packet gate could not let go yet waits for no epoch", "[net][output]") {
    PacketGateBench bench;
    bench.wire.holds = true;
    bench.wire.room = 0;
    bench.gate.hold();
    bench.send(1);
    bench.gate.close_epoch(7);
    bench.gate.open();
    bench.settle();
    bench.gate.hold();  // the next backup
    bench.send(2);
    bench.gate.close_epoch(1);
    bench.wire.room = SIZE_MAX;
    bench.wire.holds = false;
    bench.backend->tell();
    CHECK(bench.sent() == "1 ");
    bench.commit(1);
    CHECK(bench.sent() == "1 2 ");
}

TEST_CASE("a drained packet gate lets go what is committed, at once", "[net][output]") {
    PacketGateBench bench;
    bench.gate.hold();
    bench.send(1);
    bench.gate.close_epoch(1);
    bench.send(2);
    bench.gate.commit(1);
    bench.gate.drain();
    CHECK(bench.sent() == "1 ");
}

TEST_CASE("no packet leaves without the permit, and each is asked for", "[net][output]") {
    PacketGateBench bench;
    int granted = 1;
    bench.gate.require_permit([&] { return granted-- > 0; });
    bench.gate.hold();
    for (std::uint8_t i = 1; i <= 3; ++i)
        bench.send(i);
    bench.gate.close_epoch(1);
    bench.commit(1);
    CHECK(bench.sent() == "1 ");
    granted = 2;
    bench.gate.ask_again();
    CHECK(bench.sent() == "1 2 3 ");
    bench.gate.open();
    bench.settle();
    bench.send(4);
    CHECK(bench.sent() == "1 2 3 ");
    CHECK(bench.gate.take_left() == 3);
}

TEST_CASE("a full packet gate has no room until its epoch is committed", "[net][output]") {
    PacketGateBench bench;
    bench.gate.hold();
    std::size_t count = 0;
    while (bench.gate.has_room()) {
        bench.send(1, 60'000);
        REQUIRE(++count < 1000);
    }
    CHECK(count * 60'000 >= PacketGate::held_bytes_max);
    CHECK((count - 1) * 60'000 < PacketGate::held_bytes_max);
    bench.gate.close_epoch(1);
    CHECK_FALSE(bench.gate.has_room());
    bench.commit(1);
    CHECK(bench.gate.has_room());
    CHECK(bench.changes == 1);
    CHECK(bench.wire.sent().size() == count);
}

TEST_CASE("what is committed waits for room outside", "[net][output]") {
    PacketGateBench bench;
    bench.wire.holds = true;
    bench.wire.room = 1;
    bench.gate.hold();
    bench.send(1);
    bench.send(2);
    bench.gate.close_epoch(1);
    bench.commit(1);
    CHECK(bench.backend->held() == 1);
    CHECK(bench.gate.take_left() == 0);
    bench.backend->let_go(1);
    bench.backend->tell();
    CHECK(bench.gate.take_left() == 1);
    bench.backend->let_go(1);
    CHECK(bench.sent() == "1 2 ");
}

TEST_CASE("an open packet gate has the room that there is outside", "[net][output]") {
    PacketGateBench bench;
    bench.wire.holds = true;
    bench.wire.room = 1;
    CHECK(bench.gate.has_room());
    bench.send(1);
    CHECK_FALSE(bench.gate.has_room());
}

TEST_CASE("a withdrawn packet never leaves", "[net][output]") {
    PacketGateBench bench;
    bench.gate.hold();
    bench.send(1);
    bench.gate.close_epoch(1);
    bench.send(2);
    bench.gate.withdraw();
    CHECK_FALSE(bench.gate.waiting_since());
    bench.commit(1);
    bench.gate.open();
    bench.settle();
    CHECK(bench.sent().empty());
    CHECK(bench.gate.take_left() == 0);
    bench.send(3);
    CHECK(bench.sent() == "3 ");
}

TEST_CASE("packets from outside, the link and the plug pass a packet gate", "[net][output]") {
    PacketGateBench bench;
    bench.gate.hold();
    bench.wire.give(packet_of({}, frame(60, 9)));
    Bytes packet(net_packet_size_max);
    CHECK(bench.gate.receive(packet) == net_header_size + 60);
    bench.wire.link = false;
    CHECK_FALSE(bench.gate.link_up());
    bench.gate.plug(false);
    CHECK_FALSE(bench.wire.plugged);
    bench.gate.say(frame(60, 3));
    CHECK(bench.wire.said.size() == 1);
    bench.gate.accept_offloads(net_f_guest_csum);
    CHECK(bench.wire.accepted == net_f_guest_csum);
    CHECK(bench.gate.offloads() == bench.wire.offloads);
}
