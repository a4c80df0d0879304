// SPDX-License-Identifier: Apache-2.0
// hvm_start_info version 1, its module list and its memory map, at layout::hvm_start_info
// (Xen, public/arch-x86/hvm/start_info.h; docs/misc/pvh.pandoc).
#pragma once

#include <optional>

#include "vmm/boot/initrd.h"
#include "vmm/memory/guest_address.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm::boot {

// rsdp 0: there are no ACPI tables.
void write_pvh_info(GuestMemory& memory, const std::optional<PlacedInitrd>& initrd,
                    GuestAddress rsdp);

}  // namespace fmvm::boot
