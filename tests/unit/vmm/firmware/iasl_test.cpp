// SPDX-License-Identifier: Apache-2.0
// The tables under the eyes of ACPICA, the implementation that Linux has: `iasl` disassembles each
// one, must recompile it without a warning, and arrives at the same bytes. From Debian's package
// acpica-tools; a machine without it fails this test, so that nobody believes it has passed.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "support/firmware_tables.h"
#include "support/temp_directory.h"

namespace fmvm {
namespace {

using namespace firmware_test;

std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    INFO(path);
    REQUIRE(file);
    return {std::istreambuf_iterator<char>(file), {}};
}

bool run(const std::string& command) {
    return std::system(command.c_str()) == 0;
}

// Disassembles and recompiles; returns the source.
std::string round_trip(const Bytes& table) {
    const test::TempDirectory directory;
    const std::string signature = text(table, 0, 4);
    std::ofstream(directory.file("in.dat"), std::ios::binary)
        .write(reinterpret_cast<const char*>(table.data()),
               static_cast<std::streamsize>(table.size()));
    const std::string log = directory.file("log");
    INFO(signature);
    REQUIRE(run("iasl -d " + directory.file("in.dat") + " >" + log + " 2>&1"));
    // -we: warnings are errors.
    const bool compiled = run("iasl -we -p " + directory.file("out") + " " +
                              directory.file("in.dsl") + " >" + log + " 2>&1");
    const std::string output = read_file(log);
    INFO(output);
    REQUIRE(compiled);
    CHECK(output.find("0 Errors, 0 Warnings, 0 Remarks") != std::string::npos);

    // In the header, iasl puts its own name and version, and so another checksum.
    constexpr std::size_t header_size = 36;
    const std::string recompiled = read_file(directory.file("out.aml"));
    REQUIRE(recompiled.size() == table.size());
    const bool same =
        recompiled.substr(header_size) == text(table, header_size, table.size() - header_size);
    CHECK(same);
    return read_file(directory.file("in.dsl"));
}

void require_iasl() {
    if (!run("iasl -v >/dev/null 2>&1")) {
        FAIL("iasl is missing, the ACPI tables are NOT checked: apt-get install acpica-tools");
    }
}

TEST_CASE("iasl: every table recompiles to itself without a warning", "[firmware]") {
    require_iasl();
    const FirmwareConfig configs[] = {
        {.vcpus = 1, .virtio_devices = 0},
        {.vcpus = layout::vcpu_count_max, .virtio_devices = layout::virtio_device_count_max},
    };
    for (const FirmwareConfig& config : configs) {
        GuestMemory memory = make_memory();
        const AcpiTables tables =
            read_acpi_tables(memory, write_acpi_tables(memory, config).value());
        for (const Bytes* table : {&tables.xsdt, &tables.fadt, &tables.madt, &tables.dsdt}) {
            round_trip(*table);
        }
    }
}

TEST_CASE("iasl: the DSDT says what it should", "[firmware]") {
    require_iasl();
    GuestMemory memory = make_memory();
    const FirmwareConfig config{.vcpus = 2, .virtio_devices = 9};
    const AcpiTables tables = read_acpi_tables(memory, write_acpi_tables(memory, config).value());
    const std::string source = round_trip(tables.dsdt);
    const auto count = [&](const std::string& wanted) {
        unsigned found = 0;
        for (std::size_t at = 0; (at = source.find(wanted, at)) != std::string::npos; ++at)
            ++found;
        return found;
    };
    CHECK(count("Name (_S5, Package (0x04)") == 1);
    CHECK(count("\"ACPI0007\"") == 2);
    CHECK(count("EisaId (\"PNP0501\")") == 1);
    CHECK(count("0x03F8, ") == 2);
    CHECK(count("\"LNRO0005\"") == 9);
    CHECK(count("Memory32Fixed (ReadWrite,") == 9);
    CHECK(count("0xD0008000, ") == 1);
    CHECK(count("Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive, ,, )") == 1 + 9);
    CHECK(count("0x00000010,") == 1);  // the ninth device: pin 16
}

}  // namespace
}  // namespace fmvm
