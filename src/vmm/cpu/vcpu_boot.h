// SPDX-License-Identifier: Apache-2.0
// Registers of the boot vCPU at the kernel's entry point, and the tables they point to.
#pragma once

#include "base/result.h"
#include "vmm/boot/boot_entry.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm {

// Writes the GDT and, for BootProtocol::linux64, page tables that map the first 4 GiB onto
// themselves (layout::boot_gdt, layout::boot_page_tables).
Result<void> write_boot_tables(GuestMemory& memory, const BootEntry& entry);

Result<void> write_boot_registers(int vcpu_fd, const BootEntry& entry);

}  // namespace fmvm
