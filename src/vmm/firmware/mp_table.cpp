// SPDX-License-Identifier: Apache-2.0
// The MP table (Intel MultiProcessor Specification 1.4, chapter 4).
//
// Only lines that are wired are listed: the PIT, the serial port, the virtio devices. Linux
// allocates and programs every pin listed, at a price where ring 0 is emulated. Pins from 16 on
// are no ISA interrupts; Linux (mp_map_pin_to_irq()) takes a source number from 16 on as the pin
// itself, with the polarity and trigger given here.

#include "vmm/firmware/table_bytes.h"

namespace fmvm {

namespace {

using firmware::append;
using firmware::append_text;
using firmware::append_zeros;
using firmware::Bytes;

constexpr std::uint8_t specification_1_4 = 4;
constexpr std::uint8_t isa_bus = 0;
constexpr unsigned isa_irqs = 16;
constexpr std::uint8_t pit_irq = 0;  // pin 0, not the PC's pin 2: KVM's default routing
constexpr std::uint8_t all_local_apics = 0xff;

enum InterruptType : std::uint8_t { vectored = 0, nmi = 1, ext_int = 3 };  // table 4-10
enum InterruptFlags : std::uint16_t {
    conforms = 0,  // ISA: edge-triggered, active high
    edge_active_high = 0b0101,
};

// 4.1: the floating pointer structure.
Bytes make_floating_pointer() {
    Bytes pointer;
    append_text(pointer, "_MP_");
    append<std::uint32_t>(pointer,
                          static_cast<std::uint32_t>(layout::mp_configuration_table.value()));
    append<std::uint8_t>(pointer, 1);  // length in 16-byte units
    append<std::uint8_t>(pointer, specification_1_4);
    append_zeros(pointer, 6);  // checksum, below; features: a table follows, virtual wire mode
    pointer[10] = firmware::checksum(pointer);
    return pointer;
}

// Entries of the configuration table, and their number.
class MpEntries {
  public:
    // 4.3.1
    void processor(std::uint8_t index, const FirmwareConfig& config) {
        begin(0);
        append<std::uint8_t>(bytes_, index);                     // LAPIC id
        append<std::uint8_t>(bytes_, 0x14);                      // version of KVM's LAPIC
        append<std::uint8_t>(bytes_, index == 0 ? 0b11 : 0b01);  // boot processor; enabled
        append<std::uint32_t>(bytes_, config.cpuid_signature);
        append<std::uint32_t>(bytes_, config.cpuid_features);
        append_zeros(bytes_, 8);
    }
    // 4.3.2
    void bus(std::uint8_t id, std::string_view type) {
        begin(1);
        append<std::uint8_t>(bytes_, id);
        append_text(bytes_, type);
    }
    // 4.3.3
    void io_apic(std::uint8_t id) {
        begin(2);
        append<std::uint8_t>(bytes_, id);
        append<std::uint8_t>(bytes_, 0x11);  // version of KVM's IOAPIC
        append<std::uint8_t>(bytes_, 1);     // usable
        append<std::uint32_t>(bytes_, static_cast<std::uint32_t>(layout::io_apic.value()));
    }
    // 4.3.4: IRQ n of the bus is wired to pin n.
    void io_interrupt(std::uint8_t irq, std::uint8_t io_apic_id) {
        begin(3);
        append<std::uint8_t>(bytes_, InterruptType::vectored);
        append<std::uint16_t>(bytes_, irq < isa_irqs ? conforms : edge_active_high);
        append<std::uint8_t>(bytes_, isa_bus);
        append<std::uint8_t>(bytes_, irq);
        append<std::uint8_t>(bytes_, io_apic_id);
        append<std::uint8_t>(bytes_, irq);
    }
    // 4.3.5
    void local_interrupt(InterruptType type, std::uint8_t local_apic_id, std::uint8_t pin) {
        begin(4);
        append<std::uint8_t>(bytes_, type);
        append<std::uint16_t>(bytes_, conforms);
        append<std::uint8_t>(bytes_, isa_bus);
        append<std::uint8_t>(bytes_, 0);
        append<std::uint8_t>(bytes_, local_apic_id);
        append<std::uint8_t>(bytes_, pin);
    }

    const Bytes& bytes() const { return bytes_; }
    std::uint16_t count() const { return count_; }

  private:
    void begin(std::uint8_t type) {
        append<std::uint8_t>(bytes_, type);
        ++count_;
    }

    Bytes bytes_;
    std::uint16_t count_ = 0;
};

// In ascending order of their types, as 4.3 asks.
MpEntries make_entries(const FirmwareConfig& config) {
    const std::uint8_t io_apic = firmware::io_apic_id(config);
    MpEntries entries;
    for (unsigned i = 0; i < config.vcpus; ++i) {
        entries.processor(static_cast<std::uint8_t>(i), config);
    }
    entries.bus(isa_bus, "ISA   ");
    entries.io_apic(io_apic);
    entries.io_interrupt(pit_irq, io_apic);
    entries.io_interrupt(layout::serial_irq, io_apic);
    for (unsigned i = 0; i < config.virtio_devices; ++i) {
        entries.io_interrupt(static_cast<std::uint8_t>(layout::virtio_irq(i)), io_apic);
    }
    entries.local_interrupt(ext_int, 0, 0);  // the 8259, on the boot processor's LINT0
    entries.local_interrupt(nmi, all_local_apics, 1);
    return entries;
}

// 4.2: header and entries.
Bytes make_configuration_table(const FirmwareConfig& config) {
    constexpr std::size_t header_size = 44;
    const MpEntries entries = make_entries(config);
    Bytes table;
    append_text(table, "PCMP");
    append<std::uint16_t>(table, static_cast<std::uint16_t>(header_size + entries.bytes().size()));
    append<std::uint8_t>(table, specification_1_4);
    append<std::uint8_t>(table, 0);      // checksum, below
    append_text(table, "FMVM    ");      // OEM id
    append_text(table, "fmvm        ");  // product id
    append_zeros(table, 6);              // no OEM table
    append<std::uint16_t>(table, entries.count());
    append<std::uint32_t>(table, static_cast<std::uint32_t>(layout::local_apic.value()));
    append_zeros(table, 4);  // no extended table; reserved
    FMVM_CHECK(table.size() == header_size);
    table.insert(table.end(), entries.bytes().begin(), entries.bytes().end());
    table[7] = firmware::checksum(table);
    return table;
}

}  // namespace

Result<void> write_mp_table(GuestMemory& memory, const FirmwareConfig& config) {
    firmware::check_config(config);
    if (!memory.write(layout::mp_table, make_floating_pointer()) ||
        !memory.write(layout::mp_configuration_table, make_configuration_table(config))) {
        return make_error("guest memory does not reach the MP table at {:#x}",
                          layout::mp_configuration_table.value());
    }
    return {};
}

}  // namespace fmvm
