// SPDX-License-Identifier: Apache-2.0
#include "serial.h"

#include "cpu.h"
#include "guest.h"
#include "interrupts.h"

namespace bare {

constinit Serial serial;

namespace {

constexpr uint16_t kPort = 0x3f8;
constexpr uint32_t kPin = 4;
constexpr uint32_t kFifoSize = 16;

enum Register : uint16_t {
    kData = kPort,
    kInterruptEnable,
    kFifoControl,  // interrupt identification when read
    kLineControl,
    kModemControl,
    kLineStatus,
};

constexpr uint8_t kDivisorLatch = 0x80, kEightBits = 0x03;
constexpr uint8_t kFifosOnAndClear = 0x07;
constexpr uint8_t kDtrRtsOut2 = 0x0b;
constexpr uint8_t kReceiveInterrupt = 0x01, kTransmitInterrupt = 0x02;
constexpr uint8_t kDataReady = 0x01, kOverrun = 0x02, kHoldingEmpty = 0x20, kAllSent = 0x40;

}  // namespace

void Serial::reset() {
    out8(kLineControl, kDivisorLatch | kEightBits);
    out8(kData, 1);  // 115200 baud
    out8(kInterruptEnable, 0);
    out8(kLineControl, kEightBits);
    out8(kFifoControl, kFifosOnAndClear);
    out8(kModemControl, kDtrRtsOut2);
    out8(kInterruptEnable, enabled_);
    room_ = 0;
    ready_ = true;
}

void Serial::enable(uint8_t interrupt) {
    if (!ready_) reset();
    if (vector_ == 0) vector_ = route_interrupt(kPin);
    enabled_ |= interrupt;
    out8(kInterruptEnable, enabled_);
}

void Serial::use_receive_interrupt() {
    enable(kReceiveInterrupt);
}
void Serial::use_transmit_interrupt() {
    enable(kTransmitInterrupt);
}

// The transmit interrupt is the one edge of "holding register empty"; reading the identification
// acknowledges it, so that the next edge can come.
void Serial::wait_for_transmitter() {
    for (;;) {
        const uint64_t seen = interrupts();
        if (in8(kLineStatus) & kHoldingEmpty) return;
        if (enabled_ & kTransmitInterrupt) {
            in8(kFifoControl);
            wait(seen);
        } else {
            relax();
        }
    }
}

void Serial::put(char c) {
    if (!ready_) reset();
    if (room_ == 0) {
        wait_for_transmitter();
        room_ = kFifoSize;
    }
    out8(kData, static_cast<uint8_t>(c));
    --room_;
}

void Serial::drain() {
    while (!(in8(kLineStatus) & kAllSent))
        relax();
    room_ = 0;
}

uint32_t Serial::read(char* buffer, uint32_t size) {
    uint32_t count = 0;
    while (count < size) {
        const uint8_t status = in8(kLineStatus);
        if (status & kOverrun) fail("the serial receiver was overrun");
        if (!(status & kDataReady)) break;
        buffer[count++] = static_cast<char>(in8(kData));
    }
    return count;
}

uint64_t Serial::interrupts() const {
    return interrupt_count(vector_);
}
void Serial::wait(uint64_t seen) const {
    wait_for_interrupt(vector_, seen);
}

}  // namespace bare
