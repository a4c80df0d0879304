// SPDX-License-Identifier: Apache-2.0
// Puts a kernel, its initrd, its command line and the boot information into guest RAM:
//
//   ELF with a PVH note  -> segments as they are         -> hvm_start_info
//   ELF without          -> segments as they are         -> boot_params
//   bzImage              -> unpacked here, then as ELF,
//                           or as it is                  -> boot_params
//
// Everything in the files is hostile. Guest memory must be as allocated: all zero.
#pragma once

#include <string>

#include "base/result.h"
#include "vmm/boot/boot_entry.h"
#include "vmm/boot/image_source.h"
#include "vmm/memory/guest_address.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm {

struct KernelSources {
    std::string kernel_path;
    std::string initrd_path;  // empty: none
    std::string command_line;
    GuestAddress rsdp;  // 0: no ACPI tables
};

Result<BootEntry> load_kernel(GuestMemory& memory, const KernelSources& sources);

namespace boot {

// The same from any kind of source; initrd may be null.
Result<BootEntry> load_kernel_image(GuestMemory& memory, const ImageSource& kernel,
                                    const ImageSource* initrd, const std::string& command_line,
                                    GuestAddress rsdp);

}  // namespace boot

}  // namespace fmvm
