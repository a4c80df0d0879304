// SPDX-License-Identifier: Apache-2.0
// What a kernel loader tells the machine: where the boot vCPU starts, in which mode, with what.
#pragma once

#include <cstdint>

#include "vmm/memory/guest_address.h"

namespace fmvm {

enum class BootProtocol {
    pvh,      // 32-bit protected mode, paging off, ebx -> hvm_start_info
              // (Xen docs/misc/pvh.pandoc, "Direct boot")
    linux64,  // long mode, identity-mapped, rsi -> boot_params
              // (Linux Documentation/x86/boot.rst, "64-bit BOOT PROTOCOL")
};

struct BootEntry {
    BootProtocol protocol = BootProtocol::pvh;
    GuestAddress entry;
    GuestAddress info;  // hvm_start_info or boot_params
};

}  // namespace fmvm
