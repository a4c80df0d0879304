// SPDX-License-Identifier: Apache-2.0
// Routes port or MMIO accesses to devices. Filled once while the machine is built, then only read,
// from all vCPU threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "vmm/board/device.h"

namespace fmvm {

class Bus {
  public:
    // Ranges may not overlap (checked). The device must outlive the bus.
    void attach(std::uint64_t start, std::uint64_t size, BusDevice& device);

    // An access that no device claims, or that crosses a device's end, reads as all ones and is
    // dropped on write, as on a PC.
    void read(std::uint64_t address, std::span<std::uint8_t> data) const;
    void write(std::uint64_t address, std::span<const std::uint8_t> data) const;

  private:
    struct Range {
        std::uint64_t start;
        std::uint64_t size;
        BusDevice* device;
    };
    const Range* find(std::uint64_t address, std::size_t length) const;

    std::vector<Range> ranges_;  // sorted by start
};

}  // namespace fmvm
