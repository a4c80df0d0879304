// SPDX-License-Identifier: Apache-2.0
#include "boot_info.h"

#include "guest.h"

extern "C" {
extern const uint32_t start_info;
extern char image_end[];
}

namespace bare {
namespace {

// Xen's public/arch-x86/hvm/start_info.h, as documented in Xen's docs/misc/pvh.
struct StartInfo {
    uint32_t magic, version, flags, module_count;
    uint64_t modules, command_line, rsdp;
    uint64_t memory_map;  // version >= 1
    uint32_t memory_map_entries, reserved;
};

struct MemoryMapEntry {
    uint64_t address, size;
    uint32_t type, reserved;
};

constexpr uint32_t kMagic = 0x336ec578;
constexpr uint32_t kTypeRam = 1;
constexpr uint64_t kPageSize = 4096;
constexpr size_t kCommandLineSize = 4096;

constinit char command_line[kCommandLineSize] = {};
constinit uint64_t next_page = 0;
constinit uint64_t end_of_ram = 0;

void find_ram(const StartInfo& info) {
    if (info.version < 1) fail("hvm_start_info has no memory map (version 0)");
    const auto* entries = reinterpret_cast<const MemoryMapEntry*>(info.memory_map);
    const auto image = reinterpret_cast<uint64_t>(image_end);
    for (uint32_t i = 0; i < info.memory_map_entries; ++i) {
        const MemoryMapEntry& entry = entries[i];
        if (entry.type != kTypeRam || entry.address > image || image - entry.address > entry.size)
            continue;
        next_page = image;
        end_of_ram = (entry.address + entry.size) & ~(kPageSize - 1);
        return;
    }
    fail("no RAM in the memory map holds the guest's image");
}

}  // namespace

std::string_view read_boot_info() {
    const auto& info = *reinterpret_cast<const StartInfo*>(uint64_t{start_info});
    if (info.magic != kMagic) fail("no hvm_start_info at the PVH entry");
    size_t length = 0;
    if (info.command_line != 0) {
        const auto* given = reinterpret_cast<const char*>(info.command_line);
        while (length < kCommandLineSize && given[length] != 0) {
            command_line[length] = given[length];
            ++length;
        }
    }
    find_ram(info);
    return {command_line, length};
}

uint64_t allocate_pages(uint64_t bytes) {
    const uint64_t rounded = (bytes + kPageSize - 1) & ~(kPageSize - 1);
    if (rounded < bytes || rounded > free_ram())
        fail(Text() << "not enough RAM for " << bytes << " bytes");
    const uint64_t address = next_page;
    next_page += rounded;
    return address;
}

AllocationScope::AllocationScope() : mark_(next_page) {}
AllocationScope::~AllocationScope() {
    next_page = mark_;
}

uint64_t free_ram() {
    return end_of_ram - next_page;
}

uint64_t ram_end() {
    return end_of_ram;
}

}  // namespace bare
