// SPDX-License-Identifier: Apache-2.0
// The ways a guest ends itself: ACPI sleep control and reset register (ACPI 6.5, 4.8.3.7 and
// 4.8.3.6; hardware-reduced), and the reset pulse of the i8042 keyboard controller. Any vCPU
// thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "vmm/board/device.h"
#include "vmm/machine/machine.h"

namespace fmvm {

using EndRequest = std::function<void(GuestEnd)>;

// How the guest has ended, as state. A machine may be restored that had ended before anybody
// outside was told: it ends again. Its vCPUs would not say so: one that has switched itself off
// only halts, and SVM resets one that met a triple fault.
class PowerState : public Snapshottable {
  public:
    explicit PowerState(EndRequest request_end) : request_end_(std::move(request_end)) {}

    // power_off, reset or crash; the first counts. Any vCPU thread.
    void end(GuestEnd how);

    // Version 1 knows no crash.
    std::uint32_t state_version() const override { return 2; }
    std::uint32_t state_version_min() const override { return 1; }
    void save(ByteWriter& out) const override;
    Result<Apply> decode(ByteReader& in) override;

  private:
    EndRequest request_end_;
    std::atomic<std::uint8_t> ended_{0};  // its code in the state; 0: it has not
};

// Ports layout::acpi_sleep_control_port .. acpi_reset_port.
class AcpiPower : public BusDevice {
  public:
    explicit AcpiPower(EndRequest request_end) : request_end_(std::move(request_end)) {}
    void read(std::uint64_t offset, std::span<std::uint8_t> data) override;
    void write(std::uint64_t offset, std::span<const std::uint8_t> data) override;

    static constexpr std::uint64_t register_count = 3;

  private:
    EndRequest request_end_;
};

// One port of the i8042: data (0x60) or status and command (0x64). No keyboard is connected; the
// status register says that there is nothing to read and that commands are accepted.
class I8042Port : public BusDevice {
  public:
    enum class Kind { data, command };
    I8042Port(Kind kind, EndRequest request_end)
        : kind_(kind), request_end_(std::move(request_end)) {}
    void read(std::uint64_t offset, std::span<std::uint8_t> data) override;
    void write(std::uint64_t offset, std::span<const std::uint8_t> data) override;

  private:
    const Kind kind_;
    EndRequest request_end_;
};

}  // namespace fmvm
