// SPDX-License-Identifier: Apache-2.0
// The registers of the 16550A (PC16550D data sheet, tables 2 and 4) as a driver uses them.
#include "devices/console/serial.h"

#include <array>
#include <catch2/catch.hpp>

#include "support/fake_lines.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

enum Register : std::uint64_t { rbr = 0, thr = 0, ier = 1, iir = 2, fcr = 2, lcr = 3, mcr = 4 };
enum MoreRegisters : std::uint64_t { lsr = 5, msr = 6, scr = 7 };
constexpr std::uint8_t no_interrupt = 0x01;
constexpr std::uint8_t transmit_interrupt = 0x02;
constexpr std::uint8_t receive_interrupt = 0x04;

struct SerialBench {
    std::uint8_t get(std::uint64_t offset) {
        std::array<std::uint8_t, 1> data{0x55};
        serial.read(offset, data);
        return data[0];
    }
    void set(std::uint64_t offset, std::uint8_t value) {
        serial.write(offset, std::array<std::uint8_t, 1>{value});
    }
    void receive(std::string_view text) {
        serial.receive({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    }
    bool can_send() { return (get(lsr) & 0x20) != 0; }
    bool has_data() { return (get(lsr) & 0x01) != 0; }

    FakeIrq irq;
    FakeSink sink;
    Serial serial{irq, sink};
};

}  // namespace

TEST_CASE("serial: after power-on", "[serial]") {
    SerialBench bench;
    CHECK(bench.get(ier) == 0);
    CHECK(bench.get(iir) == no_interrupt);
    CHECK(bench.get(lcr) == 0);
    CHECK(bench.get(mcr) == 0);
    CHECK(bench.get(lsr) == 0x60);
    CHECK(bench.get(msr) == 0xb0);  // carrier, DSR, CTS: somebody is there
    CHECK(bench.get(rbr) == 0);
    CHECK(bench.irq.count() == 0);
}

TEST_CASE("serial: bytes go out as they are written", "[serial]") {
    SerialBench bench;
    for (const char c : std::string("hello")) {
        CHECK(bench.can_send());
        bench.set(thr, static_cast<std::uint8_t>(c));
    }
    CHECK(bench.sink.text == "hello");
    CHECK(bench.irq.count() == 0);
}

TEST_CASE("serial: bytes come in in order", "[serial]") {
    SerialBench bench;
    CHECK_FALSE(bench.has_data());
    bench.receive("ab");
    CHECK(bench.has_data());
    CHECK(bench.get(rbr) == 'a');
    CHECK(bench.get(rbr) == 'b');
    CHECK_FALSE(bench.has_data());
    CHECK(bench.get(rbr) == 0);
}

TEST_CASE("serial: the divisor latch covers the first two registers", "[serial]") {
    SerialBench bench;
    bench.set(ier, 0x05);
    bench.set(lcr, 0x83);
    CHECK(bench.get(0) == 12);
    CHECK(bench.get(1) == 0);
    bench.set(0, 0x34);
    bench.set(1, 0x12);
    CHECK(bench.get(0) == 0x34);
    CHECK(bench.get(1) == 0x12);
    CHECK(bench.serial.state().divisor == 0x1234);
    bench.set(lcr, 0x03);
    CHECK(bench.get(ier) == 0x05);
    CHECK(bench.sink.text.empty());
    CHECK(bench.irq.count() == 0);
}

TEST_CASE("serial: scratch, unused bits and odd accesses", "[serial]") {
    SerialBench bench;
    bench.set(scr, 0xa5);
    CHECK(bench.get(scr) == 0xa5);
    bench.set(ier, 0xff);
    CHECK(bench.get(ier) == 0x0f);
    bench.set(mcr, 0xef);
    CHECK(bench.get(mcr) == 0x0f);
    bench.set(lsr, 0);  // read only
    CHECK(bench.get(lsr) == 0x60);
    std::array<std::uint8_t, 2> wide{1, 1};
    bench.receive("x");
    bench.serial.read(rbr, wide);
    CHECK(wide == std::array<std::uint8_t, 2>{0, 0});
    bench.serial.write(thr, wide);
    CHECK(bench.sink.text.empty());
    CHECK(bench.get(rbr) == 'x');  // the wide read took nothing
}

TEST_CASE("serial: FIFO bits tell a 16550A", "[serial]") {
    SerialBench bench;
    bench.set(fcr, 0x01);
    CHECK(bench.get(iir) == (0xc0 | no_interrupt));
    bench.set(fcr, 0x00);
    CHECK(bench.get(iir) == no_interrupt);
}

TEST_CASE("serial: clearing the FIFO keeps what was typed and drops what was looped back",
          "[serial]") {
    SerialBench bench;
    bench.receive("typed before the driver opened the port");
    bench.set(fcr, 0x03);
    CHECK(bench.get(rbr) == 't');
    bench.set(mcr, 0x10);
    bench.set(thr, 'x');
    bench.set(fcr, 0x05);  // the transmitter's
    CHECK(bench.has_data());
    bench.set(fcr, 0x03);
    CHECK_FALSE(bench.has_data());
}

TEST_CASE("serial: loopback", "[serial]") {
    SerialBench bench;
    bench.set(mcr, 0x10);
    CHECK(bench.get(msr) == 0);
    bench.set(thr, 'x');
    CHECK(bench.sink.text.empty());
    CHECK(bench.get(rbr) == 'x');
    // DTR, RTS, OUT1, OUT2 come back as DSR, CTS, RI, DCD.
    const std::pair<std::uint8_t, std::uint8_t> wires[] = {
        {0x01, 0x20}, {0x02, 0x10}, {0x04, 0x40}, {0x08, 0x80}, {0x0f, 0xf0}};
    for (const auto& [out, in] : wires) {
        bench.set(mcr, static_cast<std::uint8_t>(0x10 | out));
        CHECK(bench.get(msr) == in);
    }
    bench.set(mcr, 0x00);
    bench.set(thr, 'y');
    CHECK(bench.sink.text == "y");
}

TEST_CASE("serial: a guest that talks to itself cannot make us grow", "[serial][hostile]") {
    SerialBench bench;
    bench.set(mcr, 0x10);
    for (std::size_t i = 0; i < 3 * Serial::input_queue_max; ++i)
        bench.set(thr, 'x');
    CHECK(bench.serial.state().received.size() == Serial::input_queue_max);
    CHECK(bench.serial.input_room() == 0);
}

TEST_CASE("serial: the transmit interrupt has edges where it should", "[serial]") {
    SerialBench bench;
    bench.set(ier, 0x02);  // enabling it while the register is empty
    CHECK(bench.irq.count() == 1);
    CHECK(bench.get(iir) == transmit_interrupt);
    CHECK(bench.get(iir) == no_interrupt);  // reading it was serving it
    bench.set(ier, 0x02);                   // enabled already: no edge
    CHECK(bench.irq.count() == 1);
    bench.set(thr, 'a');
    CHECK(bench.irq.count() == 2);
    bench.set(thr, 'b');  // the first is still unserved: a new edge all the same
    CHECK(bench.irq.count() == 3);
    CHECK(bench.get(iir) == transmit_interrupt);
    bench.set(ier, 0x00);
    bench.set(thr, 'c');
    CHECK(bench.irq.count() == 3);
    bench.set(ier, 0x02);  // Linux kicks the transmitter so
    CHECK(bench.irq.count() == 4);
    CHECK(bench.sink.text == "abc");
}

TEST_CASE("serial: the receive interrupt stays until all is read", "[serial]") {
    SerialBench bench;
    bench.receive("x");
    CHECK(bench.irq.count() == 0);  // not enabled
    bench.set(ier, 0x01);
    CHECK(bench.irq.count() == 1);  // it was waiting
    bench.receive("y");
    CHECK(bench.irq.count() == 2);
    CHECK(bench.get(iir) == receive_interrupt);
    CHECK(bench.get(iir) == receive_interrupt);  // reading it serves nothing
    static_cast<void>(bench.get(rbr));
    CHECK(bench.get(iir) == receive_interrupt);
    static_cast<void>(bench.get(rbr));
    CHECK(bench.get(iir) == no_interrupt);
}

TEST_CASE("serial: receiving comes before transmitting", "[serial]") {
    SerialBench bench;
    bench.set(ier, 0x03);
    bench.receive("x");
    CHECK(bench.get(iir) == receive_interrupt);
    static_cast<void>(bench.get(rbr));
    CHECK(bench.get(iir) == transmit_interrupt);
    CHECK(bench.get(iir) == no_interrupt);
}

TEST_CASE("serial: a sink without room makes the guest wait", "[serial]") {
    SerialBench bench;
    bench.sink.room_bytes = 2;
    bench.set(ier, 0x02);
    CHECK(bench.get(iir) == transmit_interrupt);
    bench.set(thr, 'a');
    CHECK(bench.can_send());
    CHECK(bench.get(iir) == transmit_interrupt);
    const std::size_t edges = bench.irq.count();
    bench.set(thr, 'b');
    CHECK_FALSE(bench.can_send());
    CHECK(bench.get(lsr) == 0);
    CHECK(bench.get(iir) == no_interrupt);
    CHECK(bench.irq.count() == edges);
    bench.set(thr, 'c');  // a guest that does not wait loses nothing
    CHECK(bench.sink.text == "abc");
    bench.set(ier, 0x00);
    bench.set(ier, 0x02);  // asking again does not make room
    CHECK(bench.get(iir) == no_interrupt);
    CHECK(bench.irq.count() == edges);

    bench.sink.room = true;
    bench.sink.room_bytes = SIZE_MAX;
    bench.serial.output_ready();
    CHECK(bench.can_send());
    CHECK(bench.irq.count() == edges + 1);
    CHECK(bench.get(iir) == transmit_interrupt);
    bench.serial.output_ready();  // no news
    CHECK(bench.irq.count() == edges + 1);
}

TEST_CASE("serial: room for input, told when there is some again", "[serial]") {
    SerialBench bench;
    int told = 0;
    bench.serial.on_input_room([&] { ++told; });
    CHECK(bench.serial.input_room() == Serial::input_queue_max);
    bench.receive(std::string(Serial::input_queue_max, 'x'));
    CHECK(bench.serial.input_room() == 0);
    for (std::size_t i = 0; i < Serial::input_queue_max; ++i)
        static_cast<void>(bench.get(rbr));
    CHECK(told == 1);
    CHECK(bench.serial.input_room() == Serial::input_queue_max);
}

// If clearing makes room and nobody is told, whoever waits for room waits for ever.
TEST_CASE("serial: clearing the FIFO makes room too", "[serial]") {
    SerialBench bench;
    int told = 0;
    bench.serial.on_input_room([&] { ++told; });
    bench.receive(std::string(Serial::input_queue_max, 'x'));
    bench.set(mcr, 0x10);  // looped back
    bench.set(fcr, 0x03);
    CHECK(bench.serial.input_room() == Serial::input_queue_max);
    CHECK(told == 1);
}
