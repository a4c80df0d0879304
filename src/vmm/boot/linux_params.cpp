// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/linux_params.h"

#include <iterator>
#include <limits>

#include "base/check.h"
#include "vmm/board/layout.h"
#include "vmm/boot/loaded_kernel.h"

namespace fmvm::boot {

namespace {

// COMMAND_LINE_SIZE without the closing NUL (arch/x86/include/asm/setup.h). A bzImage tells its own
// limit in its header; Linux as an ELF file cuts a longer line without a word.
constexpr std::uint32_t linux_command_line_max = 2047;
static_assert(linux_command_line_max < layout::command_line_size_max);

static_assert(sizeof(boot_params) == page_size);
static_assert(offsetof(boot_params, acpi_rsdp_addr) == 0x070);
static_assert(offsetof(boot_params, e820_table) == 0x2d0);

void fill_memory_map(boot_params& params, const GuestMemory& memory) {
    const auto map = layout::memory_map(memory);
    FMVM_CHECK(map.size() <= std::size(params.e820_table));
    params.e820_entries = static_cast<std::uint8_t>(map.size());
    for (std::size_t i = 0; i < map.size(); ++i) {
        params.e820_table[i] = {map[i].start.value(), map[i].size, map[i].type};
    }
}

}  // namespace

setup_header default_setup_header() {
    setup_header header{};
    header.boot_flag = setup_boot_flag;
    header.header = setup_magic;
    header.version = 0x020f;
    header.loadflags = LOADED_HIGH;
    header.initrd_addr_max = std::numeric_limits<std::uint32_t>::max();
    header.cmdline_size = linux_command_line_max;
    return header;
}

void write_linux_params(GuestMemory& memory, const setup_header& header,
                        const std::optional<PlacedInitrd>& initrd, GuestAddress rsdp) {
    constexpr std::uint8_t undefined_loader = 0xff;  // boot.rst, type_of_loader
    boot_params params{};
    params.hdr = header;
    params.hdr.type_of_loader = undefined_loader;
    params.hdr.cmd_line_ptr = static_cast<std::uint32_t>(layout::command_line.value());
    if (initrd) {
        // Placed below the device hole, so 32 bits hold both.
        params.hdr.ramdisk_image = static_cast<std::uint32_t>(initrd->start.value());
        params.hdr.ramdisk_size = static_cast<std::uint32_t>(initrd->size);
    }
    params.acpi_rsdp_addr = rsdp.value();
    fill_memory_map(params, memory);
    FMVM_CHECK(memory.write_object(layout::zero_page, params));
}

}  // namespace fmvm::boot
