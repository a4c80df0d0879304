// SPDX-License-Identifier: Apache-2.0
// The guest-physical address space and the interrupt map of a fmvm machine. One place, because
// boot tables (ACPI, MP table, e820), devices and guests must agree. Part of the state format:
// changing it changes what a restored guest sees.
#pragma once

#include <cstdint>
#include <vector>

#include "base/units.h"
#include "vmm/memory/guest_address.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm::layout {

// Low memory, below 1 MiB (the classic PC map, so that stock kernels scan where they expect).
inline constexpr GuestAddress boot_gdt{0x500};
inline constexpr GuestAddress hvm_start_info{0x1000};    // PVH boot information and its memory map
inline constexpr GuestAddress zero_page{0x7000};         // struct boot_params
inline constexpr GuestAddress boot_page_tables{0x9000};  // 6 pages: PML4, PDPT, 4 page directories
inline constexpr GuestAddress command_line{0x20000};
inline constexpr std::uint64_t command_line_size_max = 4096;  // with the closing NUL
inline constexpr GuestAddress mp_table{0x9fc00};  // its floating pointer: the EBDA (MP spec, 4)
inline constexpr GuestAddress base_memory_end{0x9fc00};
inline constexpr GuestAddress acpi_tables{0xe0000};  // RSDP first; ACPI 6.5, 5.2.5.1
inline constexpr std::uint64_t acpi_tables_size_max = 0x10000;
// For more than 39 processors the configuration table does not fit the EBDA: BIOS area, always.
inline constexpr GuestAddress mp_configuration_table{0xf0000};
inline constexpr GuestAddress reset_vector{0xffff0};  // where kernels jump to have the BIOS reset
inline constexpr GuestAddress high_memory{0x100000};

// RAM lies below the hole for devices and continues at 4 GiB.
inline constexpr GuestAddress mmio_hole_start{0xc0000000};
inline constexpr GuestAddress mmio_hole_end{0x100000000};
inline constexpr GuestAddress virtio_mmio_base{0xd0000000};
inline constexpr std::uint64_t virtio_mmio_stride = 0x1000;
inline constexpr GuestAddress io_apic{0xfec00000};
inline constexpr GuestAddress local_apic{0xfee00000};
inline constexpr GuestAddress kvm_identity_map{0xfffbc000};  // one page, VMX only
inline constexpr GuestAddress kvm_tss{0xfffbd000};           // three pages, VMX only

// Interrupts: pins of the (in-kernel) IOAPIC.
inline constexpr unsigned serial_irq = 4;
inline constexpr unsigned irq_pins = 24;
inline constexpr unsigned virtio_device_count_max = 16;
// 5..7, 10..12, 14, 15, then 16..23: pins without a fixed ISA owner in this machine.
constexpr unsigned virtio_irq(unsigned index) {
    constexpr unsigned pins[virtio_device_count_max] = {5,  6,  7,  10, 11, 12, 14, 15,
                                                        16, 17, 18, 19, 20, 21, 22, 23};
    return pins[index];
}
constexpr GuestAddress virtio_mmio(unsigned index) {
    return virtio_mmio_base + index * virtio_mmio_stride;
}

// Ports.
inline constexpr std::uint16_t serial_port = 0x3f8;
inline constexpr std::uint16_t i8042_data_port = 0x60;
inline constexpr std::uint16_t i8042_command_port = 0x64;
inline constexpr std::uint16_t acpi_sleep_control_port = 0x600;
inline constexpr std::uint16_t acpi_sleep_status_port = 0x601;
inline constexpr std::uint16_t acpi_reset_port = 0x602;
inline constexpr std::uint8_t acpi_reset_value = 0x01;
inline constexpr std::uint8_t acpi_sleep_type_off = 5;  // the SLP_TYP of \_S5

inline constexpr std::uint64_t memory_size_min = 8 * mib;
inline constexpr std::uint64_t memory_size_max = 1024 * gib;
inline constexpr unsigned vcpu_count_max = 64;  // one LAPIC id each in the 8-bit MP table and MADT

// The RAM ranges of a machine with `bytes` of memory.
std::vector<GuestMemory::Range> ram_ranges(std::uint64_t bytes);

// What the firmware tables must tell about RAM (e820 types: 1 usable, 2 reserved).
struct MemoryMapEntry {
    GuestAddress start;
    std::uint64_t size;
    std::uint32_t type;
};
std::vector<MemoryMapEntry> memory_map(const GuestMemory& memory);

}  // namespace fmvm::layout
