// SPDX-License-Identifier: Apache-2.0
#include "vmm/emulation/memory_operand.h"

#include "base/little_endian.h"

namespace fmvm {

namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr unsigned rm_sib = 4;     // a SIB byte follows
constexpr unsigned base_none = 5;  // with mod 0: no base, a 32-bit displacement
constexpr unsigned index_none = 4;

std::uint64_t sign_extended(Bytes bytes, std::size_t at, std::size_t size) {
    if (size == 0) return 0;
    if (size == 1) return static_cast<std::uint64_t>(std::int64_t{load_le<std::int8_t>(bytes, at)});
    return static_cast<std::uint64_t>(std::int64_t{load_le<std::int32_t>(bytes, at)});
}

// Base and scaled index of a SIB byte.
std::uint64_t sib_address(std::uint8_t sib, unsigned mod, std::uint8_t rex, kvm_regs& regs) {
    const unsigned index = (sib >> 3 & 7U) | (rex & 2U) << 2;
    const unsigned base = (sib & 7U) | (rex & 1U) << 3;
    std::uint64_t address = 0;
    if (index != index_none) address = general_register(regs, index) << (sib >> 6);
    if ((base & 7U) != base_none || mod != 0) address += general_register(regs, base);
    return address;
}

}  // namespace

__u64& general_register(kvm_regs& regs, unsigned number) {
    __u64* const order[16] = {&regs.rax, &regs.rcx, &regs.rdx, &regs.rbx, &regs.rsp, &regs.rbp,
                              &regs.rsi, &regs.rdi, &regs.r8,  &regs.r9,  &regs.r10, &regs.r11,
                              &regs.r12, &regs.r13, &regs.r14, &regs.r15};
    return *order[number & 15U];
}

std::optional<MemoryOperand> decode_memory_operand(Bytes bytes, std::size_t offset,
                                                   std::uint8_t rex, kvm_regs& regs) {
    if (bytes.empty()) return std::nullopt;
    const unsigned mod = bytes[0] >> 6;
    const unsigned rm = bytes[0] & 7U;
    if (mod == 3) return std::nullopt;
    const bool has_sib = rm == rm_sib;
    if (has_sib && bytes.size() < 2) return std::nullopt;
    const bool wide = mod == 2 || (mod == 0 && (has_sib ? bytes[1] & 7U : rm) == base_none);
    const std::size_t displacement_size = wide ? 4 : mod;  // mod 1: one byte
    const std::size_t displacement_at = has_sib ? 2 : 1;
    const std::size_t size = displacement_at + displacement_size;
    if (bytes.size() < size) return std::nullopt;
    std::uint64_t linear = sign_extended(bytes, displacement_at, displacement_size);
    if (has_sib) {
        linear += sib_address(bytes[1], mod, rex, regs);
    } else if (mod == 0 && rm == base_none) {
        linear += regs.rip + offset + size;
    } else {
        linear += general_register(regs, rm | (rex & 1U) << 3);
    }
    return MemoryOperand{linear, size};
}

}  // namespace fmvm
