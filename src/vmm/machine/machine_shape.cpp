// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/machine_shape.h"

#include "vmm/board/layout.h"

namespace fmvm {

namespace {

constexpr std::size_t serial_bytes_max = 20;  // virtio 1.2, 5.2.6.1
constexpr std::size_t disk_bytes_min = 8 + 4 + 1 + 4;

}  // namespace

void MachineShape::encode(ByteWriter& out) const {
    out.u64(memory_bytes);
    out.u32(vcpus);
    out.u32(static_cast<std::uint32_t>(disks.size()));
    for (const DiskShape& disk : disks) {
        out.u64(disk.capacity);
        out.u32(disk.block_size);
        out.flag(disk.read_only);
        out.text(disk.serial);
    }
    out.u32(static_cast<std::uint32_t>(cpuid.size()));
    for (const kvm_cpuid_entry2& entry : cpuid)
        out.abi_struct(entry);
}

MachineShape MachineShape::decode(ByteReader& in) {
    MachineShape shape;
    shape.memory_bytes = in.u64();
    shape.vcpus = in.u32();
    shape.disks.resize(in.count(disk_bytes_min));
    for (DiskShape& disk : shape.disks) {
        disk.capacity = in.u64();
        disk.block_size = in.u32();
        disk.read_only = in.flag();
        disk.serial = in.text(serial_bytes_max);
    }
    shape.cpuid.resize(in.count(sizeof(kvm_cpuid_entry2)));
    for (kvm_cpuid_entry2& entry : shape.cpuid)
        entry = in.abi_struct<kvm_cpuid_entry2>();
    const bool memory_ok = shape.memory_bytes >= layout::memory_size_min &&
                           shape.memory_bytes <= layout::memory_size_max &&
                           shape.memory_bytes % page_size == 0;
    if (!memory_ok || shape.vcpus == 0 || shape.vcpus > layout::vcpu_count_max ||
        shape.disks.size() >= layout::virtio_device_count_max) {
        in.fail();
    }
    return shape;
}

}  // namespace fmvm
