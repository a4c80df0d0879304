// SPDX-License-Identifier: Apache-2.0
#include "interrupts.h"

#include "guest.h"

extern "C" {
extern volatile uint64_t cpu_blocks[MAX_CPUS][CPU_BLOCK_SIZE / 8];
}

namespace bare {
namespace {

enum LocalApic : uint32_t {
    kId = 0x20,
    kTaskPriority = 0x80,
    kSpurious = 0xf0,
    kCommandLow = 0x300,
    kCommandHigh = 0x310,
    kLvtTimer = 0x320,
    kLvtLint0 = 0x350,
    kTimerInitial = 0x380,
    kTimerDivide = 0x3e0,
};

constexpr uint32_t kSoftwareEnable = 0x100;
constexpr uint32_t kMasked = 0x10000;
constexpr uint32_t kDivideBy1 = 0b1011;
constexpr uint32_t kInit = 0x4500;     // INIT, level assert
constexpr uint32_t kStartup = 0x4600;  // SIPI
constexpr uint32_t kFixed = 0x4000;
constexpr uint32_t kDeliveryPending = 0x1000;

constexpr uint64_t kIoApicSelect = 0xfec00000;
constexpr uint64_t kIoApicWindow = 0xfec00010;
constexpr uint32_t kIoApicVersion = 1;
constexpr uint32_t kIoApicRedirection = 0x10;
constexpr uint8_t kFirstPinVector = 0x50;

uint32_t apic_read(uint32_t offset) {
    return mmio_read<uint32_t>(LAPIC_BASE + uint64_t{offset});
}
void apic_write(uint32_t offset, uint32_t value) {
    mmio_write(LAPIC_BASE + uint64_t{offset}, value);
}

uint32_t io_apic_read(uint32_t index) {
    mmio_write(kIoApicSelect, index);
    return mmio_read<uint32_t>(kIoApicWindow);
}

void io_apic_write(uint32_t index, uint32_t value) {
    mmio_write(kIoApicSelect, index);
    mmio_write(kIoApicWindow, value);
}

void send(uint8_t apic_id, uint32_t command) {
    apic_write(kCommandHigh, uint32_t{apic_id} << 24);
    apic_write(kCommandLow, command);
    while (apic_read(kCommandLow) & kDeliveryPending)
        relax();
}

}  // namespace

void enable_local_apic() {
    apic_write(kLvtLint0, kMasked);
    apic_write(kTaskPriority, 0);
    apic_write(kSpurious, kSoftwareEnable | SPURIOUS_VECTOR);
    apic_write(kTimerDivide, kDivideBy1);
    apic_write(kLvtTimer, kTimerVector);
}

uint8_t local_apic_id() {
    return static_cast<uint8_t>(apic_read(kId) >> 24);
}

uint8_t route_interrupt(uint32_t pin) {
    const uint32_t last_pin = io_apic_read(kIoApicVersion) >> 16 & 0xff;
    if (pin > last_pin) fail(Text() << "interrupt " << pin << " is beyond the I/O APIC");
    const auto vector = static_cast<uint8_t>(kFirstPinVector + pin);
    io_apic_write(kIoApicRedirection + 2 * pin + 1, uint32_t{local_apic_id()} << 24);
    io_apic_write(kIoApicRedirection + 2 * pin, vector);
    return vector;
}

void send_fixed_ipi(uint8_t apic_id, uint8_t vector) {
    send(apic_id, kFixed | vector);
}
void send_init(uint8_t apic_id) {
    send(apic_id, kInit);
}
void send_startup(uint8_t apic_id, uint8_t page) {
    send(apic_id, kStartup | page);
}

void start_timer(uint32_t nanoseconds) {
    apic_write(kTimerInitial, nanoseconds);
}

uint64_t interrupt_count(uint8_t vector, uint32_t cpu) {
    return cpu_blocks[cpu][vector];
}

}  // namespace bare
