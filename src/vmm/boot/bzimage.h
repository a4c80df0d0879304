// SPDX-License-Identifier: Apache-2.0
// bzImage, the form in which distributions ship Linux (Documentation/arch/x86/boot.rst): a setup
// header, then the protected-mode part, which is a decompressor around a compressed ELF vmlinux.
//
// When the compression is one that the host can undo, the vmlinux is unpacked here and entered
// directly (64-bit boot protocol); otherwise the protected-mode part is loaded and unpacks itself.
#pragma once

#include <asm/bootparam.h>

#include <cstdint>

#include "base/result.h"
#include "vmm/boot/image_source.h"
#include "vmm/boot/loaded_kernel.h"
#include "vmm/boot/placement.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm::boot {

struct BzImage {
    setup_header header{};
    std::uint64_t kernel_offset = 0;   // of the protected-mode part in the file
    std::uint64_t payload_offset = 0;  // in the file
    std::uint64_t payload_size = 0;    // 0 when the header names no payload
};

bool is_bzimage(const ImageSource& source);

Result<BzImage> parse_bzimage(const ImageSource& source);

Result<LoadedKernel> load_bzimage(const ImageSource& source, GuestMemory& memory,
                                  Placement& placement);

}  // namespace fmvm::boot
