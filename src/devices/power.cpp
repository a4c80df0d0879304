// SPDX-License-Identifier: Apache-2.0
#include "devices/power.h"

#include <algorithm>

#include "vmm/board/layout.h"

namespace fmvm {

namespace {

constexpr std::uint8_t sleep_enable = 0x20;
constexpr unsigned sleep_type_shift = 2;
constexpr std::uint8_t sleep_type_mask = 0x7;

// Commands 0xf0 to 0xff pulse the output lines whose bit is clear; line 0 is the CPU's reset.
constexpr std::uint8_t pulse_command = 0xf0;
constexpr std::uint8_t pulse_reset_line = 0x01;

constexpr std::uint8_t asked_power_off = 1;
constexpr std::uint8_t asked_reset = 2;

}  // namespace

// The request is noted before it is carried out, so that a machine that stands because of it is
// saved with it.
void PowerState::end(GuestEnd how) {
    asked_ = how == GuestEnd::reset ? asked_reset : asked_power_off;
    request_end_(how);
}

void PowerState::save(ByteWriter& out) const {
    out.u8(asked_);
}

Result<Snapshottable::Apply> PowerState::decode(ByteReader& in) {
    const std::uint8_t asked = in.u8();
    if (!in.done() || asked > asked_reset) return Error("it is malformed");
    return Apply([this, asked] {
        if (asked != 0) end(asked == asked_reset ? GuestEnd::reset : GuestEnd::power_off);
    });
}

void AcpiPower::read(std::uint64_t, std::span<std::uint8_t> data) {
    std::fill(data.begin(), data.end(), std::uint8_t{0});
}

void AcpiPower::write(std::uint64_t offset, std::span<const std::uint8_t> data) {
    const std::uint8_t value = data[0];
    if (offset == 0 && (value & sleep_enable) != 0 &&
        (value >> sleep_type_shift & sleep_type_mask) == layout::acpi_sleep_type_off) {
        request_end_(GuestEnd::power_off);
    }
    if (offset == layout::acpi_reset_port - layout::acpi_sleep_control_port &&
        value == layout::acpi_reset_value) {
        request_end_(GuestEnd::reset);
    }
}

void I8042Port::read(std::uint64_t, std::span<std::uint8_t> data) {
    std::fill(data.begin(), data.end(), std::uint8_t{0});
}

void I8042Port::write(std::uint64_t, std::span<const std::uint8_t> data) {
    const std::uint8_t value = data[0];
    if (kind_ == Kind::command && (value & pulse_command) == pulse_command &&
        (value & pulse_reset_line) == 0) {
        request_end_(GuestEnd::reset);
    }
}

}  // namespace fmvm
