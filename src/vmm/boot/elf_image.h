// SPDX-License-Identifier: Apache-2.0
// ELF vmlinux (and any other 64-bit x86-64 ELF): its segments, its entry point and its PVH note.
// Spec: System V ABI, chapter 5; the note: Xen, public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY.
#pragma once

#include <elf.h>

#include <optional>
#include <vector>

#include "base/result.h"
#include "vmm/boot/image_source.h"
#include "vmm/boot/placement.h"
#include "vmm/memory/guest_address.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm::boot {

struct ElfImage {
    // To load: PT_LOAD that takes memory. Highest first, so that a refusal for want of RAM names
    // an amount that does for all of them.
    std::vector<Elf64_Phdr> segments;
    GuestAddress entry;                     // e_entry, which Linux links as a physical address
    std::optional<GuestAddress> pvh_entry;  // 32-bit entry point, when the note is there
};

bool is_elf(const ImageSource& source);

Result<ElfImage> parse_elf(const ImageSource& source);

// Puts the segments at their physical addresses. The RAM behind the file's bytes of a segment
// (.bss) is not touched: guest memory is all zero when kernels are loaded.
Result<void> load_elf(const ImageSource& source, const ElfImage& image, GuestMemory& memory,
                      Placement& placement);

}  // namespace fmvm::boot
