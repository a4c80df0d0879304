// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/machine_shape.h"

#include "vmm/board/layout.h"

namespace fmvm {

namespace {

constexpr std::size_t serial_bytes_max = 20;  // virtio 1.2, 5.2.6.1
constexpr std::size_t disk_bytes_min = 8 + 4 + 1 + 4;
constexpr std::size_t net_bytes = 6 + 2 + 8;

void disk_fields(auto& archive, FieldsOf<DiskShape> auto& disk) {
    archive.u64(disk.capacity);
    archive.u32(disk.block_size);
    archive.flag(disk.read_only);
    archive.readable_text(disk.serial, serial_bytes_max);
}

void net_fields(auto& archive, FieldsOf<NetShape> auto& net) {
    archive.raw(net.mac);
    archive.u16(net.mtu);
    archive.u64(net.features);
}

void all_fields(auto& archive, FieldsOf<MachineShape> auto& shape) {
    archive.u64(shape.memory_bytes);
    archive.u32(shape.vcpus);
    archive.list(shape.disks, {.element_bytes_min = disk_bytes_min},
                 [](auto& element, auto& disk) { disk_fields(element, disk); });
    archive.list(shape.nets, {.element_bytes_min = net_bytes},
                 [](auto& element, auto& net) { net_fields(element, net); });
    archive.list(shape.cpuid, {.element_bytes_min = sizeof(kvm_cpuid_entry2)},
                 [](auto& element, auto& entry) { element.abi_struct(entry); });
    archive.check(shape.memory_bytes >= layout::memory_size_min &&
                  shape.memory_bytes <= layout::memory_size_max &&
                  shape.memory_bytes % page_size == 0);
    archive.check(shape.vcpus != 0 && shape.vcpus <= layout::vcpu_count_max);
    archive.check(shape.disks.size() + shape.nets.size() < layout::virtio_device_count_max);
}

}  // namespace

void fields(FieldWriter& archive, const MachineShape& shape) {
    all_fields(archive, shape);
}

void fields(FieldReader& archive, MachineShape& shape) {
    all_fields(archive, shape);
}

}  // namespace fmvm
