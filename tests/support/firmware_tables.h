// SPDX-License-Identifier: Apache-2.0
// Reads firmware tables back out of guest memory, for the firmware tests: by the specifications'
// offsets, with nothing shared with the code that wrote them.
#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "base/little_endian.h"
#include "vmm/board/layout.h"
#include "vmm/firmware/firmware.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm::firmware_test {

using Bytes = std::vector<std::uint8_t>;

inline GuestMemory make_memory() {
    const std::vector<GuestMemory::Range> ranges = layout::ram_ranges(layout::memory_size_min);
    return GuestMemory::allocate(ranges).value();
}

inline Bytes read(const GuestMemory& memory, std::uint64_t address, std::size_t size) {
    Bytes bytes(size);
    REQUIRE(memory.read(GuestAddress(address), bytes));
    return bytes;
}

inline unsigned sum(const Bytes& bytes) {
    unsigned total = 0;
    for (const std::uint8_t byte : bytes)
        total += byte;
    return total & 0xff;
}

inline std::string text(const Bytes& bytes, std::size_t offset, std::size_t size) {
    return {bytes.begin() + static_cast<std::ptrdiff_t>(offset),
            bytes.begin() + static_cast<std::ptrdiff_t>(offset + size)};
}

// The system description table at an address, whole; its length and checksum are right.
inline Bytes acpi_table(const GuestMemory& memory, std::uint64_t address) {
    const Bytes header = read(memory, address, 36);
    const auto length = load_le<std::uint32_t>(header, 4);
    REQUIRE(length >= 36);
    REQUIRE(length < 0x10000);
    Bytes table = read(memory, address, length);
    CHECK(sum(table) == 0);
    return table;
}

struct AcpiTables {
    Bytes rsdp, xsdt, fadt, madt, dsdt;
};

// Follows the pointers from the RSDP as an operating system does.
inline AcpiTables read_acpi_tables(const GuestMemory& memory, GuestAddress rsdp) {
    AcpiTables tables;
    tables.rsdp = read(memory, rsdp.value(), 36);
    tables.xsdt = acpi_table(memory, load_le<std::uint64_t>(tables.rsdp, 24));
    for (std::size_t entry = 36; entry < tables.xsdt.size(); entry += 8) {
        Bytes table = acpi_table(memory, load_le<std::uint64_t>(tables.xsdt, entry));
        const std::string signature = text(table, 0, 4);
        if (signature == "FACP") tables.fadt = std::move(table);
        if (signature == "APIC") tables.madt = std::move(table);
    }
    REQUIRE(tables.fadt.size() == 276);
    REQUIRE_FALSE(tables.madt.empty());
    tables.dsdt = acpi_table(memory, load_le<std::uint64_t>(tables.fadt, 140));
    return tables;
}

}  // namespace fmvm::firmware_test
