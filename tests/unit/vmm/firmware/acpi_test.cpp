// SPDX-License-Identifier: Apache-2.0
// The ACPI tables as an operating system reads them (ACPI 6.5, chapter 5).
#include <set>

#include "support/firmware_tables.h"

namespace fmvm {
namespace {

using namespace firmware_test;

constexpr FirmwareConfig small{.vcpus = 1, .virtio_devices = 0};
constexpr FirmwareConfig large{.vcpus = layout::vcpu_count_max,
                               .virtio_devices = layout::virtio_device_count_max};

AcpiTables build_acpi(const FirmwareConfig& config) {
    GuestMemory memory = make_memory();
    return read_acpi_tables(memory, write_acpi_tables(memory, config).value());
}

TEST_CASE("acpi: the RSDP is where kernels look, with both checksums right", "[firmware]") {
    GuestMemory memory = make_memory();
    const GuestAddress address = write_acpi_tables(memory, small).value();
    CHECK(address.value() % 16 == 0);
    CHECK(address.value() >= 0xe0000);
    CHECK(address.value() < 0x100000);
    const Bytes rsdp = read(memory, address.value(), 36);
    CHECK(text(rsdp, 0, 8) == "RSD PTR ");
    CHECK(sum({rsdp.begin(), rsdp.begin() + 20}) == 0);
    CHECK(sum(rsdp) == 0);
    CHECK(rsdp[15] == 2);                           // revision
    CHECK(load_le<std::uint32_t>(rsdp, 20) == 36);  // length
}

TEST_CASE("acpi: tables have their signatures and revisions and do not overlap", "[firmware]") {
    for (const FirmwareConfig& config : {small, large}) {
        const AcpiTables tables = build_acpi(config);
        CHECK(text(tables.xsdt, 0, 4) == "XSDT");
        CHECK(text(tables.dsdt, 0, 4) == "DSDT");
        CHECK(tables.xsdt.size() == 36 + 2 * 8);
        CHECK(tables.fadt[8] == 6);
        CHECK(tables.dsdt[8] == 2);
        CHECK(load_le<std::uint32_t>(tables.fadt, 40) == load_le<std::uint64_t>(tables.fadt, 140));

        struct Extent {
            std::uint64_t start, size;
        };
        const std::vector<Extent> extents{
            {layout::acpi_tables.value(), 36},
            {load_le<std::uint64_t>(tables.fadt, 140), tables.dsdt.size()},
            {load_le<std::uint64_t>(tables.xsdt, 36), tables.fadt.size()},
            {load_le<std::uint64_t>(tables.xsdt, 44), tables.madt.size()},
            {load_le<std::uint64_t>(tables.rsdp, 24), tables.xsdt.size()},
        };
        for (std::size_t i = 0; i + 1 < extents.size(); ++i) {
            CHECK(extents[i].start + extents[i].size <= extents[i + 1].start);
        }
        // The MP configuration table begins at 0xf0000.
        CHECK(extents.back().start + extents.back().size <= 0xf0000);
    }
}

TEST_CASE("acpi: the FADT is hardware-reduced, with registers for power-off and reset",
          "[firmware]") {
    const Bytes fadt = build_acpi(small).fadt;
    const auto flags = load_le<std::uint32_t>(fadt, 112);
    CHECK((flags & 1u << 20) != 0);  // HW_REDUCED_ACPI
    CHECK((flags & 1u << 10) != 0);  // RESET_REG_SUP
    CHECK((flags & 1u << 4) != 0);   // no fixed power button

    // IA-PC boot: legacy devices; no 8042; VGA, MSI and CMOS RTC not present.
    CHECK(load_le<std::uint16_t>(fadt, 109) == 0b101101);

    const auto port_at = [&](std::size_t offset) {
        CHECK(fadt[offset] == 1);      // system I/O
        CHECK(fadt[offset + 1] == 8);  // bits
        CHECK(fadt[offset + 2] == 0);
        CHECK(fadt[offset + 3] == 1);  // byte access
        return load_le<std::uint64_t>(fadt, offset + 4);
    };
    CHECK(port_at(116) == layout::acpi_reset_port);
    CHECK(fadt[128] == layout::acpi_reset_value);
    CHECK(port_at(244) == layout::acpi_sleep_control_port);
    CHECK(port_at(256) == layout::acpi_sleep_status_port);

    // Nothing of the fixed hardware: PM1 blocks, PM timer, GPE blocks, FACS.
    CHECK(load_le<std::uint32_t>(fadt, 36) == 0);
    CHECK(load_le<std::uint64_t>(fadt, 132) == 0);
    CHECK(sum({fadt.begin() + 46, fadt.begin() + 109}) == 0);
    CHECK(sum({fadt.begin() + 148, fadt.begin() + 244}) == 0);
}

TEST_CASE("acpi: the MADT lists each vCPU, one IOAPIC and the NMI", "[firmware]") {
    const Bytes madt = build_acpi(large).madt;
    CHECK(load_le<std::uint32_t>(madt, 36) == layout::local_apic.value());
    CHECK(load_le<std::uint32_t>(madt, 40) == 1);  // PCAT_COMPAT
    std::set<unsigned> apic_ids;
    unsigned io_apics = 0;
    unsigned nmis = 0;
    unsigned io_apic_id = 0;
    for (std::size_t offset = 44; offset < madt.size(); offset += madt[offset + 1]) {
        REQUIRE(madt[offset + 1] >= 2);
        switch (madt[offset]) {
            case 0:
                REQUIRE(madt[offset + 1] == 8);
                CHECK(madt[offset + 2] == madt[offset + 3]);  // processor UID, APIC id
                CHECK(load_le<std::uint32_t>(madt, offset + 4) == 1);
                apic_ids.insert(madt[offset + 3]);
                break;
            case 1:
                REQUIRE(madt[offset + 1] == 12);
                ++io_apics;
                io_apic_id = madt[offset + 2];
                CHECK(load_le<std::uint32_t>(madt, offset + 4) == layout::io_apic.value());
                CHECK(load_le<std::uint32_t>(madt, offset + 8) == 0);
                break;
            case 4:
                REQUIRE(madt[offset + 1] == 6);
                ++nmis;
                CHECK(madt[offset + 2] == 0xff);
                CHECK(madt[offset + 5] == 1);
                break;
            default:
                FAIL("unexpected MADT structure " << int{madt[offset]});
        }
    }
    CHECK(apic_ids.size() == layout::vcpu_count_max);
    CHECK(*apic_ids.rbegin() == layout::vcpu_count_max - 1);
    CHECK(io_apics == 1);
    CHECK(apic_ids.count(io_apic_id) == 0);
    CHECK(nmis == 1);
}

TEST_CASE("acpi: a jump to the PC's reset vector writes the reset register", "[firmware]") {
    GuestMemory memory = make_memory();
    REQUIRE(write_acpi_tables(memory, large).ok());
    // mov al, 0x01; mov dx, 0x0602; out dx, al; hlt; jmp to the hlt
    CHECK(read(memory, 0xffff0, 9) == Bytes{0xb0, 0x01, 0xba, 0x02, 0x06, 0xee, 0xf4, 0xeb, 0xfd});
    CHECK(layout::acpi_reset_port == 0x602);
    CHECK(layout::acpi_reset_value == 0x01);
}

TEST_CASE("acpi: memory that does not reach the tables is an error", "[firmware]") {
    const GuestMemory::Range range{GuestAddress(0), 0x80000};
    GuestMemory memory = GuestMemory::allocate({&range, 1}).value();
    CHECK_FALSE(write_acpi_tables(memory, small).ok());
    CHECK_FALSE(write_mp_table(memory, small).ok());
}

}  // namespace
}  // namespace fmvm
