// SPDX-License-Identifier: Apache-2.0
#include "devices/power.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "vmm/board/layout.h"

namespace fmvm {

namespace {

constexpr std::uint8_t sleep_enable = 0x20;
constexpr unsigned sleep_type_shift = 2;
constexpr std::uint8_t sleep_type_mask = 0x7;

// Commands 0xf0 to 0xff pulse the output lines whose bit is clear; line 0 is the CPU's reset.
constexpr std::uint8_t pulse_command = 0xf0;
constexpr std::uint8_t pulse_reset_line = 0x01;

// The code of each in the state is its place here, from 1.
constexpr std::array state_ends{GuestEnd::power_off, GuestEnd::reset, GuestEnd::crash};

}  // namespace

// The end is noted before it is carried out, so that a machine that stands because of it is saved
// with it.
void PowerState::end(GuestEnd how) {
    const auto* const found = std::ranges::find(state_ends, how);
    FMVM_CHECK(found != state_ends.end());
    std::uint8_t not_yet = 0;
    const auto code = static_cast<std::uint8_t>(found - state_ends.begin() + 1);
    if (ended_.compare_exchange_strong(not_yet, code)) request_end_(how);
}

void PowerState::save(ByteWriter& out) const {
    out.u8(ended_);
}

Result<Snapshottable::Apply> PowerState::decode(ByteReader& in) {
    const std::uint8_t code = in.u8();
    if (!in.done() || code > state_ends.size()) return Error("it is malformed");
    return Apply([this, code] {
        if (code != 0) end(state_ends[code - 1U]);
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
