// SPDX-License-Identifier: Apache-2.0
#include "vmm/firmware/dsdt.h"

#include "vmm/firmware/aml.h"

namespace fmvm::firmware {

namespace {

// SLP_TYP for S5 stands first; with the sleep control register the others mean nothing (7.4.2).
Bytes power_off() {
    const Bytes zero = aml::integer(0);
    return aml::name("_S5",
                     aml::package({aml::integer(layout::acpi_sleep_type_off), zero, zero, zero}));
}

// ACPI 6.5, 8.4: each processor of the MADT has a device; the MADT's processor UID is its _UID.
// Linux boots without them; without a _CST they give it no idle driver that costs exits.
Bytes processor(unsigned index) {
    return aml::device(fmt::format("CP{:02X}", index),
                       aml::join({aml::name("_HID", aml::string("ACPI0007")),
                                  aml::name("_UID", aml::integer(index))}));
}

// An explicit interrupt, because a hardware-reduced Linux has no ISA interrupts: its driver would
// ask for IRQ 4 in vain if only the legacy port table told it.
Bytes serial_port() {
    constexpr std::uint8_t registers = 8;
    return aml::device(
        "COM1",
        aml::join({aml::name("_HID", aml::eisa_id("PNP0501")), aml::name("_UID", aml::integer(1)),
                   aml::name("_CRS", aml::resource_template(
                                         {aml::io_ports(layout::serial_port, registers),
                                          aml::interrupt_edge_high(layout::serial_irq)}))}));
}

// LNRO0005 is the id that Linux's virtio_mmio driver binds to.
Bytes virtio_device(unsigned index) {
    const auto base = static_cast<std::uint32_t>(layout::virtio_mmio(index).value());
    const auto size = static_cast<std::uint32_t>(layout::virtio_mmio_stride);
    return aml::device(
        fmt::format("VIO{:X}", index),
        aml::join({aml::name("_HID", aml::string("LNRO0005")),
                   aml::name("_UID", aml::integer(index)),
                   aml::name("_CRS", aml::resource_template(
                                         {aml::memory32_fixed(base, size),
                                          aml::interrupt_edge_high(layout::virtio_irq(index))}))}));
}

}  // namespace

Bytes dsdt_definition_block(const FirmwareConfig& config) {
    Bytes devices;
    for (unsigned i = 0; i < config.vcpus; ++i)
        devices = aml::join({devices, processor(i)});
    devices = aml::join({devices, serial_port()});
    for (unsigned i = 0; i < config.virtio_devices; ++i) {
        devices = aml::join({devices, virtio_device(i)});
    }
    return aml::join({power_off(), aml::scope("_SB", devices)});
}

}  // namespace fmvm::firmware
