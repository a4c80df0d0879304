// SPDX-License-Identifier: Apache-2.0
// The bytes of a firmware table, appended field by field, and the checksum that ACPI and the MP
// specification share. For files of this directory only.
#pragma once

#include <cstdint>
#include <numeric>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/little_endian.h"
#include "vmm/board/layout.h"
#include "vmm/firmware/firmware.h"

namespace fmvm::firmware {

using Bytes = std::vector<std::uint8_t>;

// The width is named at the call (append<std::uint16_t>), so that it cannot follow from the value.
template <typename T>
void append(Bytes& bytes, std::type_identity_t<T> value) {
    bytes.resize(bytes.size() + sizeof(T));
    store_le<T>(bytes, bytes.size() - sizeof(T), value);
}

inline void append_text(Bytes& bytes, std::string_view text) {
    bytes.insert(bytes.end(), text.begin(), text.end());
}

inline void append_zeros(Bytes& bytes, std::size_t count) {
    bytes.resize(bytes.size() + count);
}

// The value that, stored at a byte of the range which now holds 0, makes all of it add up to 0.
inline std::uint8_t checksum(std::span<const std::uint8_t> bytes) {
    return static_cast<std::uint8_t>(-std::accumulate(bytes.begin(), bytes.end(), 0));
}

// An id that no vCPU's LAPIC has; within the 4 bits of the IOAPIC's own id register as long as
// there are fewer than 16 vCPUs.
inline std::uint8_t io_apic_id(const FirmwareConfig& config) {
    return static_cast<std::uint8_t>(config.vcpus);
}

inline void check_config(const FirmwareConfig& config) {
    FMVM_CHECK(config.vcpus >= 1 && config.vcpus <= layout::vcpu_count_max);
    FMVM_CHECK(config.virtio_devices <= layout::virtio_device_count_max);
}

}  // namespace fmvm::firmware
