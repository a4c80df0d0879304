// SPDX-License-Identifier: Apache-2.0
// What every firmware table is made from, and the entry points that the machine calls.
//
// The guest learns of its processors, interrupts and devices twice: stock kernels read ACPI,
// small kernels without ACPI read the MP table and `virtio_mmio.device=` on their command line.
// Both tell the same machine: an xAPIC per vCPU with the vCPU's index as its id, KVM's in-kernel
// IOAPIC with the routing that KVM creates it with (GSI n = IOAPIC pin n = ISA IRQ n, the timer's
// IRQ 0 on pin 0 included; measured with KVM_IRQ_LINE + KVM_GET_IRQCHIP), one serial port, and
// virtio-mmio devices. All interrupts are edge-triggered and active high.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "vmm/memory/guest_address.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm {

// vcpus is 1..layout::vcpu_count_max, virtio_devices 0..layout::virtio_device_count_max: whoever
// parses the user's options has checked both.
struct FirmwareConfig {
    unsigned vcpus = 1;
    std::uint32_t cpuid_signature = 0;  // CPUID leaf 1, eax; for the MP table
    std::uint32_t cpuid_features = 0;   // CPUID leaf 1, edx; for the MP table
    unsigned virtio_devices = 0;
};

// RSDP, XSDT, FADT, MADT and DSDT at layout::acpi_tables, and the code at the reset vector that
// goes with them. Returns the RSDP's address, for boot_params.acpi_rsdp_addr and
// hvm_start_info.rsdp_paddr: a kernel that is told does not scan.
Result<GuestAddress> write_acpi_tables(GuestMemory& memory, const FirmwareConfig& config);

// The floating pointer at layout::mp_table and the configuration table that it points to.
Result<void> write_mp_table(GuestMemory& memory, const FirmwareConfig& config);

// "virtio_mmio.device=4K@0xd0000000:5 ..." (Linux, drivers/virtio/virtio_mmio.c), or "". Kernels
// without ACPI need it; a stock kernel has no such parameter and passes over it.
std::string virtio_command_line(unsigned virtio_devices);

}  // namespace fmvm
