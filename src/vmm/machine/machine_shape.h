// SPDX-License-Identifier: Apache-2.0
// What a machine is like from outside: all that another process has to match to go on with its
// guest.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/field_list.h"
#include "vmm/kvm/kvm_api.h"

namespace fmvm {

struct DiskShape {
    std::uint64_t capacity = 0;  // bytes
    std::uint32_t block_size = 0;
    bool read_only = false;
    std::string serial;
    bool operator==(const DiskShape&) const = default;
};

struct NetShape {
    std::array<std::uint8_t, 6> mac{};
    std::uint16_t mtu = 0;
    std::uint64_t features = 0;  // offered to the guest (virtio 1.2, 5.1.3)
    bool operator==(const NetShape&) const = default;
};

struct MachineShape {
    std::uint64_t memory_bytes = 0;
    std::uint32_t vcpus = 0;
    std::vector<DiskShape> disks;
    std::vector<NetShape> nets;
    std::vector<kvm_cpuid_entry2> cpuid;  // of the boot vCPU
};

// The shape as a part of a message.
void fields(FieldWriter& archive, const MachineShape& shape);
void fields(FieldReader& archive, MachineShape& shape);

}  // namespace fmvm
