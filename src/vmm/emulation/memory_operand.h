// SPDX-License-Identifier: Apache-2.0
// The address of a memory operand in 64-bit code: ModRM, SIB and displacement (Intel SDM 2A, 2.1.5
// and 2.2.1). Segment overrides are not understood; FS and GS are the only ones with a base there.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "vmm/kvm/kvm_api.h"

namespace fmvm {

struct MemoryOperand {
    std::uint64_t linear;  // for a RIP-relative operand this counts on nothing following it
    std::size_t size;      // bytes of ModRM, SIB and displacement
};

// The general register with the number that instructions use (0 = RAX ... 15 = R15).
__u64& general_register(kvm_regs& regs, unsigned number);

// `bytes` starts at ModRM, which lies `offset` bytes behind RIP; `rex` is 0 without a REX prefix.
// None for a register operand or too few bytes.
std::optional<MemoryOperand> decode_memory_operand(std::span<const std::uint8_t> bytes,
                                                   std::size_t offset, std::uint8_t rex,
                                                   kvm_regs& regs);

}  // namespace fmvm
