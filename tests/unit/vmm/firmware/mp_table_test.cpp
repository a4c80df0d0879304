// SPDX-License-Identifier: Apache-2.0
// The MP table as an operating system reads it (MultiProcessor Specification 1.4, chapter 4), and
// what small kernels find on their command line.
#include <map>

#include "support/firmware_tables.h"

namespace fmvm {
namespace {

using namespace firmware_test;

constexpr std::uint64_t floating_pointer = 0x9fc00;

struct Interrupt {
    unsigned type, flags, bus, irq, apic, pin;
};

struct MpTable {
    std::vector<Bytes> processors;
    std::vector<Bytes> buses;
    std::vector<Bytes> io_apics;
    std::vector<Interrupt> io_interrupts;
    std::vector<Interrupt> local_interrupts;
};

Interrupt interrupt(const Bytes& entry) {
    return {entry[1], load_le<std::uint16_t>(entry, 2), entry[4], entry[5], entry[6], entry[7]};
}

Bytes configuration_table(const FirmwareConfig& config) {
    GuestMemory memory = make_memory();
    REQUIRE(write_mp_table(memory, config).ok());
    const Bytes pointer = read(memory, floating_pointer, 16);
    CHECK(text(pointer, 0, 4) == "_MP_");
    CHECK(pointer[8] == 1);
    CHECK(pointer[9] == 4);
    CHECK(sum(pointer) == 0);
    CHECK(pointer[11] == 0);  // a configuration table is there
    CHECK(pointer[12] == 0);  // virtual wire mode
    const auto address = load_le<std::uint32_t>(pointer, 4);
    const auto length = load_le<std::uint16_t>(read(memory, address, 44), 4);
    CHECK(address >= 0xf0000);
    CHECK(address + length <= 0xffff0);  // below the reset vector
    return read(memory, address, length);
}

MpTable build_mp_table(const FirmwareConfig& config) {
    const Bytes bytes = configuration_table(config);
    CHECK(text(bytes, 0, 4) == "PCMP");
    CHECK(bytes[6] == 4);
    CHECK(sum(bytes) == 0);
    CHECK(load_le<std::uint32_t>(bytes, 36) == layout::local_apic.value());
    MpTable table;
    unsigned entries = 0;
    unsigned last_type = 0;
    for (std::size_t offset = 44; offset < bytes.size(); ++entries) {
        const unsigned type = bytes[offset];
        CHECK(type >= last_type);  // ascending
        last_type = type;
        const std::size_t size = type == 0 ? 20 : 8;
        REQUIRE(offset + size <= bytes.size());
        const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(offset);
        const Bytes entry(begin, begin + static_cast<std::ptrdiff_t>(size));
        if (type == 0) table.processors.push_back(entry);
        if (type == 1) table.buses.push_back(entry);
        if (type == 2) table.io_apics.push_back(entry);
        if (type == 3) table.io_interrupts.push_back(interrupt(entry));
        if (type == 4) table.local_interrupts.push_back(interrupt(entry));
        REQUIRE(type <= 4);
        offset += size;
    }
    CHECK(load_le<std::uint16_t>(bytes, 34) == entries);
    return table;
}

TEST_CASE("mp table: processors, bus and IOAPIC", "[firmware]") {
    for (const unsigned vcpus : {1u, 2u, 15u, 16u, layout::vcpu_count_max}) {
        const MpTable table = build_mp_table(
            {.vcpus = vcpus, .cpuid_signature = 0xa20f12, .cpuid_features = 0x78bfbff});
        REQUIRE(table.processors.size() == vcpus);
        for (unsigned i = 0; i < vcpus; ++i) {
            const Bytes& processor = table.processors[i];
            CHECK(processor[1] == i);
            CHECK(processor[2] == 0x14);
            CHECK(processor[3] == (i == 0 ? 3 : 1));
            CHECK(load_le<std::uint32_t>(processor, 4) == 0xa20f12);
            CHECK(load_le<std::uint32_t>(processor, 8) == 0x78bfbff);
        }
        REQUIRE(table.buses.size() == 1);
        CHECK(text(table.buses[0], 2, 6) == "ISA   ");
        REQUIRE(table.io_apics.size() == 1);
        CHECK(table.io_apics[0][1] >= vcpus);  // no vCPU's id
        CHECK(table.io_apics[0][3] == 1);
        CHECK(load_le<std::uint32_t>(table.io_apics[0], 4) == layout::io_apic.value());
    }
}

TEST_CASE("mp table: each wired line is identity-mapped to its pin", "[firmware]") {
    const MpTable table =
        build_mp_table({.vcpus = 2, .virtio_devices = layout::virtio_device_count_max});
    std::map<unsigned, unsigned> flags_of_pin;
    for (const Interrupt& line : table.io_interrupts) {
        CHECK(line.type == 0);
        CHECK(line.bus == table.buses[0][1]);
        CHECK(line.irq == line.pin);
        CHECK(line.apic == table.io_apics[0][1]);
        CHECK(flags_of_pin.emplace(line.pin, line.flags).second);
    }
    CHECK(flags_of_pin.size() == 2 + layout::virtio_device_count_max);
    CHECK(flags_of_pin.count(0) == 1);
    CHECK(flags_of_pin.count(layout::serial_irq) == 1);
    for (unsigned i = 0; i < layout::virtio_device_count_max; ++i) {
        const unsigned pin = layout::virtio_irq(i);
        REQUIRE(flags_of_pin.count(pin) == 1);
        CHECK(flags_of_pin[pin] == (pin < 16 ? 0u : 5u));  // conforms, or edge and active high
    }
}

TEST_CASE("mp table: without devices only timer and serial port are wired", "[firmware]") {
    CHECK(build_mp_table({.vcpus = 1}).io_interrupts.size() == 2);
}

TEST_CASE("mp table: ExtINT on the boot processor's LINT0, NMI on every LINT1", "[firmware]") {
    const MpTable table = build_mp_table({.vcpus = 2});
    REQUIRE(table.local_interrupts.size() == 2);
    CHECK(table.local_interrupts[0].type == 3);
    CHECK(table.local_interrupts[0].apic == 0);
    CHECK(table.local_interrupts[0].pin == 0);
    CHECK(table.local_interrupts[1].type == 1);
    CHECK(table.local_interrupts[1].apic == 0xff);
    CHECK(table.local_interrupts[1].pin == 1);
}

TEST_CASE("virtio command line", "[firmware]") {
    CHECK(virtio_command_line(0).empty());
    CHECK(virtio_command_line(1) == "virtio_mmio.device=4K@0xd0000000:5");
    CHECK(virtio_command_line(2) ==
          "virtio_mmio.device=4K@0xd0000000:5 virtio_mmio.device=4K@0xd0001000:6");
    const std::string all = virtio_command_line(layout::virtio_device_count_max);
    CHECK(all.ends_with(" virtio_mmio.device=4K@0xd000f000:23"));
    CHECK(all.size() < layout::command_line_size_max / 4);
}

}  // namespace
}  // namespace fmvm
