// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/kernel_loader.h"

#include <algorithm>
#include <optional>

#include "vmm/board/layout.h"
#include "vmm/boot/bzimage.h"
#include "vmm/boot/elf_image.h"
#include "vmm/boot/initrd.h"
#include "vmm/boot/linux_params.h"
#include "vmm/boot/loaded_kernel.h"
#include "vmm/boot/placement.h"
#include "vmm/boot/pvh_info.h"

namespace fmvm {

namespace boot {

namespace {

Result<LoadedKernel> load_plain_elf(const ImageSource& source, GuestMemory& memory,
                                    Placement& placement) {
    const ElfImage image = FMVM_TRY(parse_elf(source));
    FMVM_TRY(load_elf(source, image, memory, placement));
    LoadedKernel kernel;
    kernel.protocol = image.pvh_entry ? BootProtocol::pvh : BootProtocol::linux64;
    kernel.entry = image.pvh_entry.value_or(image.entry);
    kernel.header = default_setup_header();
    return kernel;
}

Result<LoadedKernel> load_executable(const ImageSource& source, GuestMemory& memory,
                                     Placement& placement) {
    if (is_elf(source)) return load_plain_elf(source, memory, placement);
    if (is_bzimage(source)) return load_bzimage(source, memory, placement);
    return source.error(
        "is neither an ELF vmlinux nor a bzImage; give an x86-64 Linux kernel or "
        "another PVH guest");
}

// The page tables of the boot vCPU map the first 4 GiB, and only what was loaded is code.
Result<void> check_entry(const ImageSource& source, GuestAddress entry,
                         const Placement& placement) {
    if (entry < layout::mmio_hole_end && placement.covers(entry)) return {};
    return source.error(
        "starts at {:#x}, where it has no code below 4 GiB; link its entry point "
        "at a physical address within its segments",
        entry.value());
}

Result<void> write_command_line(GuestMemory& memory, const std::string& text,
                                const ImageSource& kernel, const setup_header& header) {
    std::uint64_t length_max = layout::command_line_size_max - 1;
    if (header.cmdline_size != 0) {
        length_max = std::min<std::uint64_t>(length_max, header.cmdline_size);
    }
    if (text.size() > length_max) {
        return make_error("the kernel command line has {} bytes; {} accepts {}: shorten --cmdline",
                          text.size(), kernel.name(), length_max);
    }
    if (text.find('\0') != std::string::npos) {
        return Error("the kernel command line contains a NUL byte; remove it from --cmdline");
    }
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.c_str());
    FMVM_CHECK(memory.write(layout::command_line, {bytes, text.size() + 1}));
    return {};
}

}  // namespace

Result<BootEntry> load_kernel_image(GuestMemory& memory, const ImageSource& kernel,
                                    const ImageSource* initrd, const std::string& command_line,
                                    GuestAddress rsdp) {
    Placement placement(memory);
    const LoadedKernel loaded = FMVM_TRY(load_executable(kernel, memory, placement));
    FMVM_TRY(check_entry(kernel, loaded.entry, placement));
    FMVM_TRY(write_command_line(memory, command_line, kernel, loaded.header));
    std::optional<PlacedInitrd> placed;
    if (initrd != nullptr) {
        placed = FMVM_TRY(load_initrd(*initrd, loaded.header.initrd_addr_max, memory, placement));
    }
    if (loaded.protocol == BootProtocol::pvh) {
        write_pvh_info(memory, placed, rsdp);
        return BootEntry{loaded.protocol, loaded.entry, layout::hvm_start_info};
    }
    write_linux_params(memory, loaded.header, placed, rsdp);
    return BootEntry{loaded.protocol, loaded.entry, layout::zero_page};
}

}  // namespace boot

Result<BootEntry> load_kernel(GuestMemory& memory, const KernelSources& sources) {
    const auto kernel = FMVM_TRY(boot::FileSource::open("kernel", sources.kernel_path));
    std::optional<boot::FileSource> initrd;
    if (!sources.initrd_path.empty()) {
        initrd.emplace(FMVM_TRY(boot::FileSource::open("initrd", sources.initrd_path)));
    }
    return boot::load_kernel_image(memory, kernel, initrd ? &*initrd : nullptr,
                                   sources.command_line, sources.rsdp);
}

}  // namespace fmvm
