// SPDX-License-Identifier: Apache-2.0
// The ACPI tables (specification 6.5, chapter 5).
//
// Hardware-reduced, and why. A full FADT would oblige us to emulate the PM1 event and control
// blocks, the SCI and the FACS: state to be captured at every cut, for the sake of one register
// write at power-off. Hardware-reduced needs two ports without state (SLEEP_CONTROL, RESET).
// What a stock Linux 6.1 then does, from its source:
//  - acpi_generic_reduced_hw_init() takes away the 8259 and the PIT (null_legacy_pic, timer_init
//    a no-op). setup_IO_APIC() therefore skips check_timer(), so no PIT interrupt is ever taken.
//    The timer is the LAPIC's: TSC deadline if CPUID has it, else calibrated by polling against
//    the TSC, whose frequency kvmclock tells. (tsc_early_init() runs before ACPI is read: without
//    kvmclock it calibrates against PIT channel 2, and the boot hangs later if that fails.) Without
//    a PIT there is no broadcast timer: CPUID must have ARAT (leaf 6), or Linux stays without
//    high-resolution timers.
//  - nr_legacy_irqs() is 0: no ISA interrupt exists unless a device in the DSDT names it. IRQ
//    numbers are allocated from 24 on, so COM1 is not "IRQ 4" in /proc/interrupts.
//  - The 8259's ExtINT is harmless: setup_local_APIC() disables the APIC by software for a moment,
//    which masks LINT0, and leaves it masked.
//  - Power-off writes SLP_TYP << 2 | SLP_EN to SLEEP_CONTROL (acpi_hw_extended_sleep()), after
//    WAK_STS to SLEEP_STATUS; \_S5 counts only when both registers have an address.
//  - Reboot writes RESET_VALUE to RESET_REG, then pulses the i8042 whether or not one is declared;
//    a kernel with EFI support jumps to the BIOS instead (see reset_vector.h).
// What it costs: no fixed power button.
#include <algorithm>

#include "vmm/firmware/dsdt.h"
#include "vmm/firmware/reset_vector.h"
#include "vmm/firmware/table_bytes.h"

namespace fmvm {

namespace {

using firmware::append;
using firmware::append_text;
using firmware::append_zeros;
using firmware::Bytes;

constexpr std::size_t table_header_size = 36;
constexpr std::size_t rsdp_size = 36;
constexpr std::string_view oem_id = "FMVM  ";

// 5.2.6: fills in the header, for which the table begins with table_header_size bytes of room.
Bytes finish(Bytes table, std::string_view signature, std::uint8_t revision) {
    Bytes header;
    append_text(header, signature);
    append<std::uint32_t>(header, static_cast<std::uint32_t>(table.size()));
    append<std::uint8_t>(header, revision);
    append<std::uint8_t>(header, 0);  // checksum, below
    append_text(header, oem_id);
    append_text(header, "FMVMMACH");   // OEM table id
    append<std::uint32_t>(header, 1);  // OEM revision
    append_text(header, "FMVM");       // creator id
    append<std::uint32_t>(header, 1);  // creator revision
    FMVM_CHECK(header.size() == table_header_size && table.size() >= table_header_size);
    std::copy(header.begin(), header.end(), table.begin());
    table[9] = firmware::checksum(table);
    return table;
}

// 5.2.5.3; revision 2: an XSDT and no RSDT.
Bytes make_rsdp(GuestAddress xsdt) {
    Bytes rsdp;
    append_text(rsdp, "RSD PTR ");
    append<std::uint8_t>(rsdp, 0);  // checksum of the 20 bytes of ACPI 1.0, below
    append_text(rsdp, oem_id);
    append<std::uint8_t>(rsdp, 2);
    append<std::uint32_t>(rsdp, 0);  // RSDT
    append<std::uint32_t>(rsdp, rsdp_size);
    append<std::uint64_t>(rsdp, xsdt.value());
    append_zeros(rsdp, 4);  // extended checksum, below, and reserved
    FMVM_CHECK(rsdp.size() == rsdp_size);
    rsdp[8] = firmware::checksum(std::span(rsdp).first(20));
    rsdp[32] = firmware::checksum(rsdp);
    return rsdp;
}

Bytes make_xsdt(std::initializer_list<GuestAddress> tables) {
    Bytes xsdt(table_header_size);
    for (const GuestAddress table : tables)
        append<std::uint64_t>(xsdt, table.value());
    return finish(std::move(xsdt), "XSDT", 1);
}

Bytes make_dsdt(const FirmwareConfig& config) {
    Bytes dsdt(table_header_size);
    const Bytes block = firmware::dsdt_definition_block(config);
    dsdt.insert(dsdt.end(), block.begin(), block.end());
    return finish(std::move(dsdt), "DSDT", 2);  // 2: integers have 64 bits
}

// 5.2.3.2: a generic address structure for one byte-wide port.
void store_port(Bytes& table, std::size_t offset, std::uint16_t port) {
    constexpr std::uint8_t system_io = 1;
    constexpr std::uint8_t byte_access = 1;
    table[offset] = system_io;
    table[offset + 1] = 8;  // register width in bits
    table[offset + 3] = byte_access;
    store_le<std::uint64_t>(table, offset + 4, port);
}

// 5.2.9, offsets of table 5.9. What is 0 is absent, or ignored when the hardware is reduced.
Bytes make_fadt(GuestAddress dsdt) {
    // IA-PC boot architecture (5.2.9.3). Not set is the 8042: there is only its reset pulse, which
    // Linux uses without being told, and a keyboard driver that probes would wait in vain.
    constexpr std::uint16_t legacy_devices = 1 << 0;  // the serial port
    constexpr std::uint16_t no_vga = 1 << 2;
    constexpr std::uint16_t no_msi = 1 << 3;
    constexpr std::uint16_t no_cmos_rtc = 1 << 5;
    // Fixed feature flags (table 5.10); for the buttons and the RTC, set means: none there.
    constexpr std::uint32_t wbinvd = 1 << 0;
    constexpr std::uint32_t c1_supported = 1 << 2;
    constexpr std::uint32_t no_power_button = 1 << 4;
    constexpr std::uint32_t no_sleep_button = 1 << 5;
    constexpr std::uint32_t no_rtc_wake = 1 << 6;
    constexpr std::uint32_t reset_register = 1 << 10;
    constexpr std::uint32_t headless = 1 << 12;
    constexpr std::uint32_t hardware_reduced = 1 << 20;

    Bytes fadt(276);
    store_le<std::uint32_t>(fadt, 40, static_cast<std::uint32_t>(dsdt.value()));
    store_le<std::uint16_t>(fadt, 109, legacy_devices | no_vga | no_msi | no_cmos_rtc);
    store_le<std::uint32_t>(fadt, 112,
                            wbinvd | c1_supported | no_power_button | no_sleep_button |
                                no_rtc_wake | reset_register | headless | hardware_reduced);
    store_port(fadt, 116, layout::acpi_reset_port);
    fadt[128] = layout::acpi_reset_value;
    fadt[131] = 3;  // minor revision: what we follow of 6.5 was there in 6.3, which iasl knows
    store_le<std::uint64_t>(fadt, 140, dsdt.value());
    store_port(fadt, 244, layout::acpi_sleep_control_port);
    store_port(fadt, 256, layout::acpi_sleep_status_port);
    constexpr std::string_view hypervisor = "fmvm";
    std::copy(hypervisor.begin(), hypervisor.end(), fadt.begin() + 268);
    return finish(std::move(fadt), "FACP", 6);
}

// 5.2.12. No interrupt source overrides: KVM's routing is the identity that the MADT presumes.
Bytes make_madt(const FirmwareConfig& config) {
    constexpr std::uint32_t pc_at_compatible = 1;  // KVM's dual 8259 is there to be masked
    Bytes madt(table_header_size);
    append<std::uint32_t>(madt, static_cast<std::uint32_t>(layout::local_apic.value()));
    append<std::uint32_t>(madt, pc_at_compatible);
    for (unsigned i = 0; i < config.vcpus; ++i) {
        append<std::uint16_t>(madt, 8 << 8 | 0);                   // processor local APIC, 8 bytes
        append<std::uint8_t>(madt, static_cast<std::uint8_t>(i));  // _UID in the DSDT
        append<std::uint8_t>(madt, static_cast<std::uint8_t>(i));  // APIC id
        append<std::uint32_t>(madt, 1);                            // enabled
    }
    append<std::uint16_t>(madt, 12 << 8 | 1);  // I/O APIC, 12 bytes
    append<std::uint8_t>(madt, firmware::io_apic_id(config));
    append<std::uint8_t>(madt, 0);
    append<std::uint32_t>(madt, static_cast<std::uint32_t>(layout::io_apic.value()));
    append<std::uint32_t>(madt, 0);  // GSI base

    append<std::uint16_t>(madt, 6 << 8 | 4);  // local APIC NMI, 6 bytes
    append<std::uint8_t>(madt, 0xff);         // all processors
    append<std::uint16_t>(madt, 0);           // polarity and trigger mode conform to the bus
    append<std::uint8_t>(madt, 1);            // LINT1
    return finish(std::move(madt), "APIC", 5);
}

// The image of layout::acpi_tables, RSDP first.
class TableArea {
  public:
    GuestAddress place(const Bytes& table) {
        image_.resize(align_up(image_.size(), 16));
        const GuestAddress address = layout::acpi_tables + image_.size();
        image_.insert(image_.end(), table.begin(), table.end());
        return address;
    }
    Bytes with_root(const Bytes& rsdp) && {
        FMVM_CHECK(image_.size() <= layout::acpi_tables_size_max);
        std::copy(rsdp.begin(), rsdp.end(), image_.begin());
        return std::move(image_);
    }

  private:
    Bytes image_ = Bytes(rsdp_size);
};

}  // namespace

Result<GuestAddress> write_acpi_tables(GuestMemory& memory, const FirmwareConfig& config) {
    firmware::check_config(config);
    TableArea area;
    const GuestAddress dsdt = area.place(make_dsdt(config));
    const GuestAddress fadt = area.place(make_fadt(dsdt));
    const GuestAddress madt = area.place(make_madt(config));
    const GuestAddress xsdt = area.place(make_xsdt({fadt, madt}));
    if (!memory.write(layout::acpi_tables, std::move(area).with_root(make_rsdp(xsdt))) ||
        !memory.write(layout::reset_vector, firmware::reset_vector_code())) {
        return make_error("guest memory does not reach the ACPI tables at {:#x}",
                          layout::acpi_tables.value());
    }
    return layout::acpi_tables;
}

}  // namespace fmvm
