// SPDX-License-Identifier: Apache-2.0
// Devices go on where others stopped: the conformance suite for each, and what the guest sees.
#include "support/state_subjects.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

using State = std::vector<std::uint8_t>;

struct InFlightBench {
    InFlightBench() {
        REQUIRE(source.start(queue.layout()));
        source.work();
        requests = {
            driver.write(8, Bytes(1024, 1)), driver.read(16, 512),  driver.flush(),
            driver.write_zeroes(24, 2, 1),   driver.discard(32, 4), driver.write(8, Bytes(512, 2))};
        source.device.queue_notified(0);
        REQUIRE(source.disk.backend->held().size() == requests.size());
    }
    BlockSubject source;
    FakeQueue queue{source.ram, 64};
    BlockDriver driver{queue};
    std::vector<BlockDriver::Request> requests;
};

}  // namespace

TEST_CASE("serial: conformance of its state", "[serial][state]") {
    SerialSubject source;
    source.set(7, 0x5a);
    source.set(1, 0x03);
    source.set(2, 0x01);
    source.set(4, 0x0b);
    source.serial.receive(std::array<std::uint8_t, 3>{'a', 'b', 'c'});
    check_state_conformance(saved_state(source.serial),
                            [] { return std::make_unique<SerialSubject>(); });
}

TEST_CASE("serial: what stands is signalled again", "[serial][state]") {
    SerialSubject source;
    SerialSubject target;
    SECTION("a received byte") {
        source.set(1, 0x01);
        source.serial.receive(std::array<std::uint8_t, 1>{'x'});
        REQUIRE(restore_state(target.serial, saved_state(source.serial)));
        CHECK(target.irq.count() == 1);
        std::array<std::uint8_t, 1> data{};
        target.serial.read(0, data);
        CHECK(data[0] == 'x');
    }
    SECTION("a wait for the sink is over") {
        source.set(1, 0x02);
        source.sink.room = false;
        source.set(0, 'x');
        CHECK(source.serial.state().waiting_for_sink);
        REQUIRE(restore_state(target.serial, saved_state(source.serial)));
        CHECK(target.irq.count() == 1);
        CHECK_FALSE(target.serial.state().waiting_for_sink);
    }
    SECTION("nothing") {
        REQUIRE(restore_state(target.serial, saved_state(source.serial)));
        CHECK(target.irq.count() == 0);
    }
}

TEST_CASE("rng: conformance of its state", "[rng][state]") {
    const Quiet quiet;
    RngSubject source;
    FakeQueue queue(source.ram, 8);
    const bool started = GENERATE(false, true);
    if (started) {
        REQUIRE(source.start(queue.layout()));
        source.work();
        queue.chain().writable(32).submit();
        source.device.queue_notified(0);
        queue.chain().writable(32).submit();  // waits for the one that goes on
    }
    check_state_conformance(saved_state(*source.transport),
                            [&] { return std::make_unique<RngSubject>(source.memory()); });
    if (!started) return;
    RngSubject target(source.memory());
    REQUIRE(restore_state(*target.transport, saved_state(*source.transport)));
    CHECK(target.irq.count() == 1);  // for the first request
    target.work();
    CHECK(target.ram.peek_acquire(queue.layout().used + 2) == 2);
}

TEST_CASE("block device: conformance of its state", "[block][state]") {
    const Quiet quiet;
    InFlightBench bench;
    check_state_conformance(saved_state(*bench.source.transport),
                            [&] { return std::make_unique<BlockSubject>(bench.source.memory()); });
}

TEST_CASE("block device: requests in flight are done again, first and in order", "[block][state]") {
    InFlightBench bench;
    bench.driver.write(40, Bytes(512, 9));  // not taken yet
    BlockSubject target(bench.source.memory());
    REQUIRE(restore_state(*target.transport, saved_state(*bench.source.transport)));
    CHECK(target.disk.backend->submitted() == 0);  // nothing before the machine runs
    target.device.poll();
    const auto& held = target.disk.backend->held();
    REQUIRE(held.size() == bench.requests.size() + 1);
    constexpr BlockOp ops[] = {BlockOp::write,        BlockOp::read,    BlockOp::flush,
                               BlockOp::write_zeroes, BlockOp::discard, BlockOp::write,
                               BlockOp::write};
    constexpr std::uint64_t sectors[] = {8, 16, 0, 24, 32, 8, 40};
    for (std::size_t i = 0; i < held.size(); ++i) {
        CHECK(held[i]->op == ops[i]);
        CHECK(held[i]->offset == sectors[i] * 512);
    }
    target.exercise();
    CHECK(target.ram.peek_acquire(bench.queue.layout().used + 2) == bench.requests.size() + 1);
    CHECK((*target.disk.image)[8 * 512] == 2);
    CHECK((*target.disk.image)[9 * 512] == 1);
    CHECK((*target.disk.image)[40 * 512] == 9);
    for (const auto& request : bench.requests)
        CHECK(target.ram.peek<std::uint8_t>(request.status) == blk_ok);
    CHECK(target.irq.count() != 0);
}

TEST_CASE("block device: only what a disk is reading into is not settled", "[block][state]") {
    InFlightBench bench;
    const GuestMemory& memory = bench.source.ram.memory();
    PageSet pages(memory.page_count());
    bench.source.transport->add_unsettled(pages);
    PageSet expected(memory.page_count());
    memory.add_pages(bench.requests[1].data, 512, expected);
    CHECK(expected.size() >= 1);
    pages.subtract(expected);
    CHECK(pages.size() == 0);
    bench.source.exercise();  // all of them complete
    pages.clear();
    bench.source.transport->add_unsettled(pages);
    CHECK(pages.size() == 0);
}

TEST_CASE("block device: a reset before the restored requests ran waits for them",
          "[block][state]") {
    InFlightBench bench;
    BlockSubject target(bench.source.memory());
    REQUIRE(restore_state(*target.transport, saved_state(*bench.source.transport)));
    bool done = false;
    target.device.reset([&] { done = true; });
    CHECK_FALSE(done);
    target.disk.backend->release_all();
    target.device.poll();
    CHECK(done);
}

TEST_CASE("block device: a head that is offered again while its request is in flight is not taken",
          "[block][state][hostile]") {
    const Quiet quiet;
    InFlightBench bench;
    bench.queue.publish(bench.requests[1].head);
    bench.source.device.queue_notified(0);
    CHECK(bench.source.disk.backend->held().size() == bench.requests.size());
    const TransportDriver driver(*bench.source.transport);
    CHECK((driver.status() & TransportDriver::needs_reset) != 0);
    const State state = saved_state(*bench.source.transport);
    BlockSubject target(bench.source.memory());
    REQUIRE(restore_state(*target.transport, state));
    CHECK((saved_state(*target.transport) == state));
    target.exercise();
    CHECK(target.disk.backend->submitted() == bench.requests.size());
}

TEST_CASE("block device: a restored request in flight keeps its head", "[block][state][hostile]") {
    const Quiet quiet;
    InFlightBench bench;
    BlockSubject target(bench.source.memory());
    REQUIRE(restore_state(*target.transport, saved_state(*bench.source.transport)));
    FakeQueue queue(target.ram, 64,
                    {bench.queue.layout().descriptors, bench.queue.layout().available,
                     bench.queue.layout().used});
    queue.start_at(bench.queue.available_index());
    queue.publish(bench.requests[0].head);
    target.device.poll();
    CHECK(target.disk.backend->held().size() == bench.requests.size());
    CHECK((TransportDriver(*target.transport).status() & TransportDriver::needs_reset) != 0);
}

namespace {

// Packets wait to leave, one to come in, and the guest has been asked to announce itself.
struct NetInFlightBench {
    NetInFlightBench() {
        constexpr std::uint64_t features = virtio_f_version_1 | virtio_f_event_idx | net_f_status |
                                           net_f_mrg_rxbuf | net_f_ctrl_vq | net_f_guest_announce |
                                           net_f_guest_csum | net_f_guest_tso4;
        REQUIRE(TransportDriver(*source.transport)
                    .start(features, {receive.layout(), send.layout(), control.layout()}));
        source.work();
        receive.chain().writable(100).submit();
        receive.chain().writable(100).submit();
        source.wire.give(packet_of({}, frame(500, 1)));
        for (std::uint8_t i = 0; i < 3; ++i)
            send.chain().readable(packet_of({}, frame(60, i))).submit();
        source.device.queue_notified(NetDevice::send_queue);
        source.backend->let_go(1);
        source.work();
        source.device.announce();
        REQUIRE(source.backend->held() == 2);
        REQUIRE(send.take_used().size() == 1);
    }
    NetSubject source;
    FakeQueue receive{source.ram, 8};
    FakeQueue send{source.ram, 8};
    FakeQueue control{source.ram, 8};
};

std::uint16_t link_status(NetSubject& subject) {
    return static_cast<std::uint16_t>(TransportDriver(*subject.transport).get(0x104) >> 16);
}

}  // namespace

TEST_CASE("net: conformance of its state", "[net][state]") {
    const Quiet quiet;
    NetInFlightBench bench;
    check_state_conformance(saved_state(*bench.source.transport),
                            [&] { return std::make_unique<NetSubject>(bench.source.memory()); });
}

TEST_CASE("net: packets that have not left are sent by the one that goes on", "[net][state]") {
    NetInFlightBench bench;
    NetSubject target(bench.source.memory());
    REQUIRE(restore_state(*target.transport, saved_state(*bench.source.transport)));
    CHECK(target.backend->held() == 0);  // nothing before the machine runs
    target.exercise();
    CHECK((target.wire.sent() ==
           std::vector<Bytes>{packet_of({}, frame(60, 1)), packet_of({}, frame(60, 2))}));
    CHECK(target.ram.peek_acquire(bench.send.layout().used + 2) == 3);
    // Its buffers are all there still; the packet that waited for more of them is lost.
    target.wire.give(packet_of({}, frame(150, 2)));
    target.work();
    CHECK(target.ram.peek_acquire(bench.receive.layout().used + 2) == 2);
}

TEST_CASE("net: what the driver was told, and has chosen, goes with its state", "[net][state]") {
    NetInFlightBench bench;
    bench.source.wire.link = false;
    bench.source.work();
    CHECK(link_status(bench.source) == 2);
    NetSubject target(bench.source.memory());
    const TransportDriver driver(*target.transport);
    REQUIRE(restore_state(*target.transport, saved_state(*bench.source.transport)));
    CHECK(link_status(target) == 2);
    CHECK(driver.get(0x0fc) == 2);  // the announcement and the link
    CHECK(driver.get(TransportDriver::interrupt_status) == 3);
    CHECK(target.irq.count() != 0);
    CHECK(target.wire.accepted == (net_f_guest_csum | net_f_guest_tso4));
    target.work();  // here the link is up
    CHECK(link_status(target) == 3);
    CHECK(driver.get(0x0fc) == 3);
}

TEST_CASE("net: another card is refused, and it is said what differs", "[net][state]") {
    const NetSubject source;
    NetSubject other({}, {{2, 0, 0, 0, 0, 2}});
    const State state = saved_state(*source.transport);
    ByteReader in(state);
    CHECK_THAT(other.transport->decode(in).error().message(),
               Catch::Contains("another net: with the MAC address '02:00:00:00:00:01'"));
}

TEST_CASE("transport: an activation on its way arrives at the device that goes on",
          "[transport][state]") {
    BlockSubject source;
    FakeQueue queue(source.ram, 16);
    REQUIRE(source.start(queue.layout()));  // the loop has not run: the device knows nothing yet
    BlockDriver driver(queue);
    driver.flush();
    BlockSubject target(source.memory());
    REQUIRE(restore_state(*target.transport, saved_state(*source.transport)));
    CHECK(target.device.queue_states().empty());
    target.work();
    CHECK(target.device.queue_states().size() == 1);
    CHECK(target.disk.backend->held().size() == 1);
}

TEST_CASE("transport: another device is refused, and it is said what differs",
          "[transport][state]") {
    const BlockSubject source;
    const State state = saved_state(*source.transport);
    const auto refusal = [&](MmioTransport& transport) {
        ByteReader in(state);
        return transport.decode(in).error().message();
    };
    const RngSubject rng;
    CHECK_THAT(refusal(*rng.transport), Catch::Contains("another rng: with another kind"));
    const BlockSubject other_serial({}, "other");
    CHECK_THAT(refusal(*other_serial.transport), Catch::Contains("with the serial 'state'"));
}
