// SPDX-License-Identifier: Apache-2.0
// A kernel that lies in guest RAM: what the boot information is made from.
#pragma once

#include <asm/bootparam.h>

#include "base/guest_address.h"
#include "vmm/boot_image.h"

namespace fmvm::boot {

struct LoadedKernel {
    BootProtocol protocol = BootProtocol::pvh;
    GuestAddress entry;
    setup_header header{};  // of the bzImage, or default_setup_header(); PVH passes none of it on
};

}  // namespace fmvm::boot
