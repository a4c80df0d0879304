// SPDX-License-Identifier: Apache-2.0
// struct boot_params, the "zero page" of the Linux boot protocol
// (Documentation/arch/x86/zero-page.rst), at layout::zero_page.
#pragma once

#include <asm/bootparam.h>

#include <optional>

#include "vmm/boot/initrd.h"
#include "vmm/memory/guest_address.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm::boot {

// For a plain ELF vmlinux, which carries no setup header of its own.
setup_header default_setup_header();

// rsdp 0: there are no ACPI tables.
void write_linux_params(GuestMemory& memory, const setup_header& header,
                        const std::optional<PlacedInitrd>& initrd, GuestAddress rsdp);

}  // namespace fmvm::boot
