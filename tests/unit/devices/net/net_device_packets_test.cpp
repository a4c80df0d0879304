// SPDX-License-Identifier: Apache-2.0
#include "devices/net/net_device.h"

#include "support/net_bench.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

constexpr std::uint64_t merging = usual_net_features | net_f_mrg_rxbuf;

// What the guest finds in its buffers.
Bytes received(NetBench& bench, GuestAddress address, std::size_t size) {
    return bench.ram.peek_bytes(address, size);
}

}  // namespace

TEST_CASE("net: a packet from outside fills a buffer, and the header says of one", "[net]") {
    NetBench bench;
    bench.activate();
    ChainBuilder chain = bench.receive.chain();
    chain.writable(1600);
    const GuestAddress address = chain.last_address();
    const std::uint16_t head = chain.submit();
    static_cast<void>(bench.ram.take_dirty_pages());
    const Bytes packet = packet_of({}, frame(500, 9));
    bench.arrive(packet);
    CHECK(bench.receive.take_used() ==
          std::vector<UsedElement>{{head, static_cast<std::uint32_t>(packet.size())}});
    NetHeader header;
    header.buffers = 1;
    CHECK((received(bench, address, packet.size()) == packet_of(header, frame(500, 9))));
    CHECK(received(bench, address + packet.size(), 10) == Bytes(10));
    CHECK(bench.transport.interrupts == 1);
    CHECK_FALSE(bench.ram.take_dirty_pages().empty());
}

TEST_CASE("net: nothing is read from outside while the guest has no room", "[net]") {
    NetBench bench(usual_net_features | virtio_f_event_idx);
    bench.activate();
    bench.arrive(packet_of({}, frame(60, 1)));
    bench.arrive(packet_of({}, frame(60, 2)));
    CHECK(bench.wire.received_from == 0);
    CHECK(bench.wire.incoming() == 2);
    // The device has asked to be told of the next buffer.
    const std::uint16_t old = bench.receive.available_index();
    bench.offer(1600);
    CHECK(bench.receive.notification_wanted(old, true));
    bench.notify(NetDevice::receive_queue);
    CHECK(bench.receive.take_used().size() == 1);
    CHECK(bench.wire.incoming() == 1);
    CHECK(bench.wire.received_from == 1);
}

TEST_CASE("net: a device that waits for packets does not ask about buffers", "[net]") {
    NetBench bench(usual_net_features | virtio_f_event_idx);
    bench.activate();
    bench.offer(1600);
    bench.arrive(packet_of({}, frame(60, 1)));
    for (int i = 0; i < 4; ++i)
        bench.offer(1600);
    const std::uint16_t old = bench.receive.available_index();
    bench.run_until_idle();
    bench.offer(1600);
    CHECK_FALSE(bench.receive.notification_wanted(old, true));
}

TEST_CASE("net: a large packet takes as many buffers as it needs", "[net]") {
    NetBench bench(merging);
    bench.activate();
    std::vector<std::uint16_t> heads;
    for (int i = 0; i < 3; ++i)
        heads.push_back(bench.offer(512));
    const Bytes packet = packet_of({}, frame(1800, 5));
    bench.arrive(packet);
    CHECK(bench.receive.take_used().empty());  // it waits for a fourth
    CHECK(bench.wire.incoming() == 0);
    heads.push_back(bench.offer(1024));
    bench.offer(512);
    bench.notify(NetDevice::receive_queue);
    CHECK(bench.receive.take_used() ==
          std::vector<UsedElement>{
              {heads[0], 512}, {heads[1], 512}, {heads[2], 512}, {heads[3], 1812 - 3 * 512}});
    bench.arrive(packet_of({}, frame(100, 6)));
    CHECK(bench.receive.take_used().size() == 1);
}

TEST_CASE("net: the first buffer's header counts the buffers", "[net]") {
    NetBench bench(merging);
    bench.activate();
    ChainBuilder chain = bench.receive.chain();
    chain.writable(200);
    const GuestAddress first = chain.last_address();
    chain.submit();
    ChainBuilder other = bench.receive.chain();
    other.writable(10).writable(400);
    const GuestAddress last = other.last_address();
    other.submit();
    const Bytes packet = packet_of({}, frame(300, 5));
    bench.arrive(packet);
    NetHeader header;
    header.buffers = 2;
    CHECK((received(bench, first, 200) == packet_of(header, frame(188, 5))));
    CHECK((received(bench, last, 110) == [] {
        Bytes rest = frame(102, 5);
        rest.resize(110);
        return rest;
    }()));
}

TEST_CASE("net: a packet larger than a buffer that may not be joined is dropped, the buffer kept",
          "[net]") {
    NetBench bench;
    bench.activate();
    const std::uint16_t head = bench.offer(100);
    bench.arrive(packet_of({}, frame(500, 1)));
    CHECK(bench.device.counters().too_large == 1);
    CHECK(bench.receive.take_used().empty());
    bench.arrive(packet_of({}, frame(60, 2)));
    CHECK(bench.receive.take_used() == std::vector<UsedElement>{{head, 72}});
}

TEST_CASE("net: packets whose header the guest did not ask for are dropped", "[net][hostile]") {
    NetBench bench(usual_net_features & ~guest_offload_features);
    bench.activate();
    for (int i = 0; i < 3; ++i)
        bench.offer(1600);
    NetHeader header;
    header.flags = NetHeader::flag_needs_checksum;
    for (int i = 0; i < 600; ++i)
        bench.wire.give(packet_of(header, frame(60, 1)));
    bench.arrive(packet_of({}, frame(60, 2)));
    CHECK(bench.device.counters().not_accepted == 600);
    CHECK(bench.receive.take_used().size() == 1);
}

TEST_CASE("net: a flood is taken in turns", "[net][hostile]") {
    NetBench bench;
    bench.activate();
    for (int i = 0; i < 16; ++i)
        bench.offer(1600);
    for (int i = 0; i < 1000; ++i)
        bench.wire.give(packet_of({}, frame(60, 1)));
    bench.backend->tell();
    bench.run_until_idle();
    CHECK(bench.receive.take_used().size() == 16);
    CHECK(bench.wire.incoming() == 984);
}

TEST_CASE("net: a buffer that cannot be written to breaks its queue", "[net][hostile]") {
    NetBench bench;
    bench.activate();
    bench.receive.chain().readable(Bytes(100)).submit();
    bench.arrive(packet_of({}, frame(60, 1)));
    REQUIRE_FALSE(bench.transport.failures.empty());
    CHECK(bench.transport.failures[0] == "a buffer for packets cannot be written to");
    bench.device.reset([] {});
    bench.run_until_idle();
}
