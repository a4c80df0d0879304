// SPDX-License-Identifier: Apache-2.0
// Accesses of every size to every address that is not RAM, the interrupt controllers (those are the
// KVM's, and our own life line) or a switch that would end us.
#include "hostile.h"
#include "lib/boot_info.h"
#include "lib/cpu.h"
#include "lib/serial.h"

namespace bare {
namespace {

struct Range {
    uint64_t first, last;
};

constexpr Range kForbiddenPorts[] = {
    {0x20, 0x21},   {0x60, 0x64},   {0x92, 0x92},   {0xa0, 0xa1},  // 8259s, i8042, fast reset
    {0x7e, 0x7f},    // QEMU's kvmvapic patches the instruction that writes there
    {0x3f8, 0x3f8},  // bytes on the console
    {0x4d0, 0x4d1}, {0x600, 0x607}, {0xcf9, 0xcf9},  // triggers, ACPI, chipset reset
};
constexpr Range kForbiddenMmio[] = {{0xfec00000, 0xfec00fff}, {0xfee00000, 0xfeefffff}};
constexpr Range kSerialPorts = {0x3f8, 0x3ff};
constexpr uint64_t kPortEnd = 0x10000 - 3;  // beyond, a wide access leaves the I/O bitmap
constexpr uint64_t kMmioEnd = uint64_t{1} << 32;
constexpr uint64_t kLongestRepeat = 64;

bool overlaps(const Range& range, uint64_t address, uint64_t size) {
    return address <= range.last && range.first < address + size;
}

template <size_t N>
bool overlaps_any(const Range (&ranges)[N], uint64_t address, uint64_t size) {
    for (const Range& range : ranges) {
        if (overlaps(range, address, size)) return true;
    }
    return false;
}

void access_port(uint16_t port, uint64_t kind, uint64_t value, void* buffer, uint64_t count) {
    const auto byte = static_cast<uint8_t>(value);
    const auto word = static_cast<uint16_t>(value);
    auto result = static_cast<uint32_t>(value);
    switch (kind) {
        case 0:
            out8(port, byte);
            break;
        case 1:
            asm volatile("outw %0, %1" : : "a"(word), "Nd"(port));
            break;
        case 2:
            asm volatile("outl %0, %1" : : "a"(result), "Nd"(port));
            break;
        case 3:
            in8(port);
            break;
        case 4:
            asm volatile("inw %w1, %w0" : "=a"(result) : "Nd"(port));
            break;
        case 5:
            asm volatile("inl %w1, %0" : "=a"(result) : "Nd"(port));
            break;
        case 6:
            asm volatile("rep outsb" : "+S"(buffer), "+c"(count) : "d"(port) : "memory");
            break;
        case 7:
            asm volatile("rep insl" : "+D"(buffer), "+c"(count) : "d"(port) : "memory");
            break;
    }
}

void access_mmio(uint64_t address, uint64_t kind, uint64_t value) {
    switch (kind) {
        case 0:
            mmio_write(address, static_cast<uint8_t>(value));
            break;
        case 1:
            mmio_write(address, static_cast<uint16_t>(value));
            break;
        case 2:
            mmio_write(address, static_cast<uint32_t>(value));
            break;
        case 3:
            mmio_write(address, value);
            break;
        case 4:
            mmio_read<uint8_t>(address);
            break;
        case 5:
            mmio_read<uint16_t>(address);
            break;
        case 6:
            mmio_read<uint32_t>(address);
            break;
        case 7:
            mmio_read<uint64_t>(address);
            break;
        case 8:
            asm volatile("movups (%0), %%xmm0" : : "r"(address) : "xmm0", "memory");
            break;
        case 9:
            asm volatile("movups %%xmm0, (%0)" : : "r"(address) : "memory");
            break;
        case 10:
            asm volatile("xchg %0, (%1)" : "+r"(value) : "r"(address) : "memory");
            break;
    }
}

constexpr uint64_t kPortKinds = 8, kMmioKinds = 11, kWidestAccess = 16;

uint64_t any_mmio_address(Hostile& hostile) {
    for (;;) {
        uint64_t address = hostile.random.one_in(2)
                               ? hostile.any_device().base() + hostile.random.below(0x2000)
                               : hostile.random.below(kMmioEnd - kWidestAccess);
        if (address < ram_end() || overlaps_any(kForbiddenMmio, address, kWidestAccess)) continue;
        return address;
    }
}

}  // namespace

void attack_ports(Hostile& hostile) {
    const auto port =
        static_cast<uint16_t>(hostile.random.below(hostile.random.one_in(2) ? kPortEnd : 0x800));
    if (overlaps_any(kForbiddenPorts, port, sizeof(uint32_t))) return;
    const uint64_t kind = hostile.random.below(kPortKinds);
    access_port(port, kind, hostile.nasty(), reinterpret_cast<void*>(hostile.pools.writable),
                1 + hostile.random.below(kLongestRepeat));
    if (overlaps(kSerialPorts, port, sizeof(uint32_t))) serial.reset();
}

void attack_mmio(Hostile& hostile) {
    access_mmio(any_mmio_address(hostile), hostile.random.below(kMmioKinds), hostile.nasty());
}

// Whole words at the registers that exist, in any order and state: wrong values rather than wrong
// sizes. Queue addresses stay out of our RAM: what lies there was never meant as descriptors.
void attack_registers(Hostile& hostile) {
    const VirtioMmio& device = hostile.any_device();
    const uint64_t count = 1 + hostile.random.below(20);
    for (uint64_t i = 0; i < count; ++i) {
        const auto offset = static_cast<uint32_t>(hostile.random.below(0x140) & ~uint64_t{3});
        auto value = static_cast<uint32_t>(hostile.random.one_in(2) ? hostile.random.below(32)
                                                                    : hostile.nasty());
        if (offset >= virtio::kQueueDescriptors && offset < virtio::kQueueUsed + 8)
            value |= 1u << 31;
        if (hostile.random.one_in(3)) {
            device.read(offset);
        } else {
            device.write(offset, value);
        }
    }
}

}  // namespace bare
