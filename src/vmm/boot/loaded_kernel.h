// SPDX-License-Identifier: Apache-2.0
// A kernel that lies in guest RAM: what the boot information is made from.
#pragma once

#include <asm/bootparam.h>

#include <cstdint>

#include "vmm/boot/boot_entry.h"
#include "vmm/memory/guest_address.h"

namespace fmvm::boot {

// What marks a Linux setup header (boot.rst, boot_flag and header).
inline constexpr std::uint16_t setup_boot_flag = 0xaa55;
inline constexpr std::uint32_t setup_magic = 0x53726448;  // "HdrS"

struct LoadedKernel {
    BootProtocol protocol = BootProtocol::pvh;
    GuestAddress entry;
    setup_header header{};  // of the bzImage, or default_setup_header(); PVH passes none of it on
};

}  // namespace fmvm::boot
