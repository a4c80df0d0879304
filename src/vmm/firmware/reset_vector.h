// SPDX-License-Identifier: Apache-2.0
// The code at the reset vector of a PC, F000:FFF0.
//
// It is no decoration: a Linux with EFI support on hardware-reduced ACPI chooses EFI for reboot
// (efi_reboot_required()); without EFI there, it goes on to BOOT_BIOS, which returns to real mode
// and jumps here, and never tries RESET_REG. Where a BIOS would start, ours writes RESET_REG.
#pragma once

#include "vmm/firmware/table_bytes.h"

namespace fmvm::firmware {

// For layout::reset_vector.
Bytes reset_vector_code();

}  // namespace fmvm::firmware
