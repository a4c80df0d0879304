// SPDX-License-Identifier: Apache-2.0
// The flat 4 GiB segments that a vCPU starts with when fmvm sets its registers.
#pragma once

#include "vmm/kvm/kvm_api.h"

namespace fmvm {

inline kvm_segment flat_segment(bool code, std::uint16_t selector, bool long_mode) {
    kvm_segment segment{};
    segment.limit = 0xffffffff;
    segment.selector = selector;
    segment.type = code ? 0xb : 0x3;  // execute/read or read/write, accessed
    segment.present = 1;
    segment.s = 1;
    segment.g = 1;
    segment.l = code && long_mode ? 1 : 0;
    segment.db = code && long_mode ? 0 : 1;
    return segment;
}

}  // namespace fmvm
