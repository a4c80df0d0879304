// SPDX-License-Identifier: Apache-2.0
// What a card has taken from outside: who is shown it, what a state says of it, and packets that
// come by another way than from outside.
#include "devices/net/net_device.h"

#include <map>

#include "support/net_bench.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

struct PositionBench : NetBench {
    PositionBench() {
        device.on_taken([this](std::uint64_t position, std::span<const std::uint8_t> packet) {
            taken += fmt::format("{}:{} ", position, packet.back());
        });
        activate();
    }
    // The fill of each packet that the guest has got since it was asked.
    std::string got() {
        std::string fills;
        for (const UsedElement& used : receive.take_used())
            fills += fmt::format(
                "{} ", ram.peek<std::uint8_t>(buffers.at(used.head) + (used.written - 1)));
        return fills;
    }
    void offer_buffers(int count) {
        for (int i = 0; i < count; ++i) {
            ChainBuilder chain = receive.chain();
            chain.writable(2000);
            const GuestAddress address = chain.last_address();
            buffers[chain.submit()] = address;
        }
        notify(NetDevice::receive_queue);
    }
    static Bytes packet(std::uint8_t fill) { return packet_of({}, frame(60, fill)); }

    std::map<std::uint32_t, GuestAddress> buffers;
    std::string taken;
};

}  // namespace

TEST_CASE("net: packets are shown with their position when they are taken", "[net][input]") {
    PositionBench bench;
    bench.offer_buffers(2);
    bench.arrive(bench.packet(1));
    bench.arrive(bench.packet(2));
    bench.arrive(bench.packet(3));  // no buffer: it stays outside
    CHECK(bench.taken == "0:1 1:2 ");
    CHECK(bench.device.position() == 2);
    CHECK(bench.got() == "1 2 ");
    bench.offer_buffers(1);
    CHECK(bench.taken == "0:1 1:2 2:3 ");
}

TEST_CASE("net: a packet that was taken and not handed on is behind the position", "[net][input]") {
    PositionBench bench;
    bench.offer(20);  // too small alone, and these buffers may not be joined
    bench.arrive(bench.packet(1));
    CHECK(bench.taken == "0:1 ");
    CHECK(bench.device.position() == 1);  // it was dropped: nobody can do better
    CHECK(bench.device.counters().too_large == 1);
}

TEST_CASE("net: a given packet comes before what is outside, and nobody is shown it",
          "[net][input]") {
    PositionBench bench;
    bench.wire.give(bench.packet(9));
    bench.device.give(bench.packet(1));
    bench.device.give(bench.packet(2));
    bench.offer_buffers(3);
    CHECK(bench.got() == "1 2 9 ");
    CHECK(bench.taken == "2:9 ");
    CHECK(bench.device.position() == 3);
}

TEST_CASE("net: what a card takes in while its guest stands is shown, and the guest gets it later",
          "[net][input]") {
    PositionBench bench;
    bench.wire.give(bench.packet(1));
    bench.wire.give(bench.packet(2));
    bench.device.take_in();
    CHECK(bench.taken == "0:1 1:2 ");
    CHECK(bench.device.position() == 0);
    bench.wire.give(bench.packet(3));
    bench.offer_buffers(3);
    CHECK(bench.got() == "1 2 3 ");
    CHECK(bench.taken == "0:1 1:2 2:3 ");
}

TEST_CASE("net: what a card takes in is bounded; the rest stays outside", "[net][input][hostile]") {
    PositionBench bench;
    for (int i = 0; i < 1000; ++i)
        bench.wire.give(bench.packet(1));
    bench.device.take_in();
    bench.device.take_in();
    CHECK(bench.wire.incoming() == 1000 - 256);
}

TEST_CASE("net: a reset is done with what was taken", "[net][input]") {
    PositionBench bench;
    bench.device.give(bench.packet(1));
    bench.device.reset([] {});
    CHECK(bench.device.position() == 1);
    bench.activate();
    bench.offer_buffers(1);
    CHECK(bench.got().empty());
}
