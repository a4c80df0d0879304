// SPDX-License-Identifier: Apache-2.0
#include "devices/power.h"

#include <array>
#include <catch2/catch.hpp>

#include "vmm/board/layout.h"

using namespace fmvm;

namespace {

struct Ends {
    EndRequest handler() {
        return [this](GuestEnd end) { seen.push_back(end); };
    }
    std::vector<GuestEnd> seen;
};

void write(BusDevice& device, std::uint64_t offset, std::uint8_t value) {
    device.write(offset, std::array<std::uint8_t, 1>{value});
}

constexpr std::uint64_t reset_offset = layout::acpi_reset_port - layout::acpi_sleep_control_port;

}  // namespace

TEST_CASE("power: ACPI S5 switches off", "[power]") {
    Ends ends;
    AcpiPower power(ends.handler());
    write(power, 0, 0x20 | layout::acpi_sleep_type_off << 2);
    CHECK(ends.seen == std::vector{GuestEnd::power_off});
}

TEST_CASE("power: other sleep requests do nothing", "[power]") {
    Ends ends;
    AcpiPower power(ends.handler());
    write(power, 0, layout::acpi_sleep_type_off << 2);  // without SLP_EN
    for (unsigned type = 0; type < 8; ++type) {
        if (type != layout::acpi_sleep_type_off) {
            write(power, 0, static_cast<std::uint8_t>(0x20 | type << 2));
        }
    }
    write(power, 1, 0x34);  // the status register
    CHECK(ends.seen.empty());
}

TEST_CASE("power: the ACPI reset register", "[power]") {
    Ends ends;
    AcpiPower power(ends.handler());
    write(power, reset_offset, 0);
    write(power, reset_offset, 2);
    CHECK(ends.seen.empty());
    write(power, reset_offset, layout::acpi_reset_value);
    CHECK(ends.seen == std::vector{GuestEnd::reset});
}

TEST_CASE("power: wider writes count by their first byte", "[power]") {
    Ends ends;
    AcpiPower power(ends.handler());
    power.write(0, std::array<std::uint8_t, 4>{0x20 | 5 << 2, 0xff, 0xff, 0xff});
    CHECK(ends.seen == std::vector{GuestEnd::power_off});
}

TEST_CASE("power: registers read as zero", "[power]") {
    Ends ends;
    AcpiPower power(ends.handler());
    I8042Port status(I8042Port::Kind::command, ends.handler());
    std::array<std::uint8_t, 2> data{1, 1};
    power.read(1, data);
    CHECK(data == std::array<std::uint8_t, 2>{0, 0});
    data = {1, 1};
    status.read(0, data);  // nothing to read, commands are taken
    CHECK(data == std::array<std::uint8_t, 2>{0, 0});
}

TEST_CASE("power: the i8042 pulse", "[power]") {
    Ends ends;
    I8042Port command(I8042Port::Kind::command, ends.handler());
    for (unsigned value = 0; value < 256; ++value) {
        ends.seen.clear();
        write(command, 0, static_cast<std::uint8_t>(value));
        const bool pulses_reset = value >= 0xf0 && value % 2 == 0;
        CHECK(ends.seen.size() == (pulses_reset ? 1 : 0));
    }
    ends.seen.clear();
    I8042Port data(I8042Port::Kind::data, ends.handler());
    write(data, 0, 0xfe);
    CHECK(ends.seen.empty());
}

TEST_CASE("power: the way a guest has ended is state", "[power]") {
    for (const GuestEnd how : {GuestEnd::power_off, GuestEnd::reset, GuestEnd::crash}) {
        Ends ends;
        PowerState power(ends.handler());
        power.end(how);
        CHECK(ends.seen == std::vector{how});
        ByteWriter out;
        power.save(out);

        Ends restored_ends;
        PowerState restored(restored_ends.handler());
        ByteReader in(out.bytes());
        const Result<Snapshottable::Apply> apply = restored.decode(in);
        REQUIRE(apply.ok());
        CHECK(restored_ends.seen.empty());
        apply.value()();
        CHECK(restored_ends.seen == std::vector{how});
    }
}

// A vCPU may fail before the others have stopped for the reset that one asked for.
TEST_CASE("power: a guest ends in the first way that it meets, here and restored", "[power]") {
    Ends ends;
    PowerState power(ends.handler());
    power.end(GuestEnd::reset);
    power.end(GuestEnd::crash);
    ByteWriter out;
    power.save(out);

    Ends restored_ends;
    PowerState restored(restored_ends.handler());
    ByteReader in(out.bytes());
    const Result<Snapshottable::Apply> apply = restored.decode(in);
    REQUIRE(apply.ok());
    apply.value()();
    CHECK(ends.seen == std::vector{GuestEnd::reset});
    CHECK(restored_ends.seen == ends.seen);
}

TEST_CASE("power: a guest that runs is restored running; nonsense is refused", "[power]") {
    Ends ends;
    PowerState power(ends.handler());
    ByteWriter out;
    power.save(out);
    ByteReader in(out.bytes());
    const Result<Snapshottable::Apply> apply = power.decode(in);
    REQUIRE(apply.ok());
    apply.value()();
    for (const std::vector<std::uint8_t>& bytes : {std::vector<std::uint8_t>{}, {4}, {255}}) {
        ByteReader hostile(bytes);
        CHECK_FALSE(power.decode(hostile).ok());
    }
    CHECK(ends.seen.empty());
}
