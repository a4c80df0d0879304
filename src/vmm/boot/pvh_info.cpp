// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/pvh_info.h"

#include <cstdint>
#include <vector>

#include "base/little_endian.h"
#include "vmm/board/layout.h"

namespace fmvm::boot {

namespace {

constexpr std::uint32_t start_info_magic = 0x336ec578;
constexpr std::uint32_t start_info_version = 1;
constexpr std::size_t start_info_size = 56;
constexpr std::size_t module_entry_size = 32;
constexpr std::size_t memory_entry_size = 24;

// Where the three tables lie from layout::hvm_start_info on.
constexpr std::size_t modules_offset = 64;
constexpr std::size_t memory_map_offset = modules_offset + module_entry_size;

}  // namespace

void write_pvh_info(GuestMemory& memory, const std::optional<PlacedInitrd>& initrd,
                    GuestAddress rsdp) {
    const auto map = layout::memory_map(memory);
    const GuestAddress base = layout::hvm_start_info;
    std::vector<std::uint8_t> bytes(memory_map_offset + map.size() * memory_entry_size);
    FMVM_CHECK(bytes.size() <= layout::zero_page - base && start_info_size <= modules_offset);

    store_le<std::uint32_t>(bytes, 0, start_info_magic);
    store_le<std::uint32_t>(bytes, 4, start_info_version);
    store_le<std::uint32_t>(bytes, 8, 0);  // flags
    store_le<std::uint32_t>(bytes, 12, initrd ? 1 : 0);
    store_le<std::uint64_t>(bytes, 16, initrd ? (base + modules_offset).value() : 0);
    store_le<std::uint64_t>(bytes, 24, layout::command_line.value());
    store_le<std::uint64_t>(bytes, 32, rsdp.value());
    store_le<std::uint64_t>(bytes, 40, (base + memory_map_offset).value());
    store_le<std::uint32_t>(bytes, 48, static_cast<std::uint32_t>(map.size()));

    if (initrd) {  // hvm_modlist_entry: address, size, command line, reserved
        store_le<std::uint64_t>(bytes, modules_offset, initrd->start.value());
        store_le<std::uint64_t>(bytes, modules_offset + 8, initrd->size);
    }
    std::size_t offset = memory_map_offset;
    for (const layout::MemoryMapEntry& entry : map) {  // the types are those of e820
        store_le<std::uint64_t>(bytes, offset, entry.start.value());
        store_le<std::uint64_t>(bytes, offset + 8, entry.size);
        store_le<std::uint32_t>(bytes, offset + 16, entry.type);
        offset += memory_entry_size;
    }
    FMVM_CHECK(memory.write(base, bytes));
}

}  // namespace fmvm::boot
