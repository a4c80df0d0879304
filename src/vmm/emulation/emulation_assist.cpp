// SPDX-License-Identifier: Apache-2.0
#include "vmm/emulation/emulation_assist.h"

#include <algorithm>
#include <bit>
#include <initializer_list>

#include "vmm/emulation/memory_operand.h"
#include "vmm/kvm/msr.h"

namespace fmvm {

namespace {

using Bytes = std::span<const std::uint8_t>;

bool starts_with(Bytes bytes, std::initializer_list<std::uint8_t> opcode) {
    return bytes.size() >= opcode.size() && std::equal(opcode.begin(), opcode.end(), bytes.begin());
}

bool advance(AssistCpu& cpu, std::uint64_t length) {
    kvm_regs regs{};
    if (!cpu.get_regs(regs)) return false;
    regs.rip += length;
    return cpu.set_regs(regs);
}

// A breakpoint is a trap: the handler sees RIP behind it. Stock kernels execute it on purpose
// while they patch themselves, so it must really be delivered.
bool complete_int3(AssistCpu& cpu) {
    return advance(cpu, 1) && cpu.inject_exception(3);
}

// FNCLEX clears the exception flags, SF, ES and B of the status word.
bool complete_fnclex(AssistCpu& cpu) {
    kvm_fpu fpu{};
    if (!cpu.get_fpu(fpu)) return false;
    fpu.fsw = static_cast<std::uint16_t>(fpu.fsw & 0x7f00);
    return cpu.set_fpu(fpu) && advance(cpu, 2);
}

// EMMS tags all registers empty (kvm_fpu keeps the abridged tag word: a bit per used register).
bool complete_emms(AssistCpu& cpu) {
    kvm_fpu fpu{};
    if (!cpu.get_fpu(fpu)) return false;
    fpu.ftwx = 0;
    return cpu.set_fpu(fpu) && advance(cpu, 2);
}

bool complete_ac_flag(AssistCpu& cpu, bool set) {
    constexpr std::uint64_t ac = 1U << 18;
    kvm_regs regs{};
    if (!cpu.get_regs(regs)) return false;
    regs.rflags = set ? regs.rflags | ac : regs.rflags & ~ac;
    regs.rip += 3;
    return cpu.set_regs(regs);
}

bool complete_rdtscp(AssistCpu& cpu) {
    kvm_regs regs{};
    std::uint64_t tsc = 0;
    std::uint64_t aux = 0;
    if (!cpu.get_regs(regs) || !cpu.read_msr(msr_tsc, tsc) || !cpu.read_msr(msr_tsc_aux, aux)) {
        return false;
    }
    regs.rax = tsc & 0xffffffff;
    regs.rdx = tsc >> 32;
    regs.rcx = aux & 0xffffffff;
    regs.rip += 3;
    return cpu.set_regs(regs);
}

bool complete_xgetbv(AssistCpu& cpu) {
    kvm_regs regs{};
    std::uint64_t xcr0 = 0;
    if (!cpu.get_regs(regs) || (regs.rcx & 0xffffffff) != 0 || !cpu.read_xcr0(xcr0)) return false;
    regs.rax = xcr0 & 0xffffffff;
    regs.rdx = xcr0 >> 32;
    regs.rip += 3;
    return cpu.set_regs(regs);
}

// A REX prefix, if there is one, as kernels put it: directly before the opcode.
struct Prefixed {
    std::uint8_t rex;
    std::size_t opcode_at;
};
Prefixed skip_rex(Bytes bytes, std::size_t at) {
    if (at < bytes.size() && (bytes[at] & 0xf0) == 0x40) return {bytes[at], at + 1};
    return {0, at};
}

// LDMXCSR and STMXCSR m32 ([REX] 0F AE /2 and /3).
bool complete_mxcsr(Bytes bytes, AssistCpu& cpu) {
    const auto [rex, at] = skip_rex(bytes, 0);
    if (!starts_with(bytes.subspan(at), {0x0f, 0xae}) || bytes.size() < at + 3) return false;
    const unsigned operation = bytes[at + 2] >> 3 & 7U;
    if ((operation != 2 && operation != 3) || !cpu.in_64_bit_code()) return false;
    kvm_regs regs{};
    kvm_fpu fpu{};
    if (!cpu.get_regs(regs) || !cpu.get_fpu(fpu)) return false;
    const auto operand = decode_memory_operand(bytes.subspan(at + 2), at + 2, rex, regs);
    if (!operand) return false;
    if (operation == 2) {
        std::uint32_t value = 0;
        constexpr std::uint32_t reserved = 0xffff0000;  // setting one is a fault: not ours to raise
        if (!cpu.read_memory(operand->linear, value) || (value & reserved) != 0) return false;
        fpu.mxcsr = value;
        if (!cpu.set_fpu(fpu)) return false;
    } else if (!cpu.write_memory(operand->linear, fpu.mxcsr)) {
        return false;
    }
    return advance(cpu, at + 2 + operand->size);
}

// POPCNT r32/r64, r32/r64 (F3 [REX] 0F B8 /r, register form only).
bool complete_popcnt(Bytes bytes, AssistCpu& cpu) {
    const auto [rex, at] = skip_rex(bytes, 1);
    if (!starts_with(bytes.subspan(at), {0x0f, 0xb8}) || bytes.size() < at + 3) return false;
    const std::uint8_t modrm = bytes[at + 2];
    if (modrm < 0xc0) return false;  // memory operand
    const unsigned target = (modrm >> 3 & 7U) | (rex & 4U) << 1;
    const unsigned source = (modrm & 7U) | (rex & 1U) << 3;
    kvm_regs regs{};
    if (!cpu.get_regs(regs)) return false;
    std::uint64_t value = general_register(regs, source);
    if ((rex & 8) == 0) value &= 0xffffffff;
    general_register(regs, target) = static_cast<__u64>(std::popcount(value));
    constexpr std::uint64_t arithmetic_flags = 0x8d5;  // CF PF AF ZF SF OF
    constexpr std::uint64_t zero_flag = 0x40;
    regs.rflags = (regs.rflags & ~arithmetic_flags) | (value == 0 ? zero_flag : 0);
    regs.rip += at + 3;
    return cpu.set_regs(regs);
}

}  // namespace

bool complete_instruction(Bytes bytes, AssistCpu& cpu) {
    if (starts_with(bytes, {0xcc})) return complete_int3(cpu);
    // FWAIT only reports pending x87 exceptions; kernels use it where there are none.
    if (starts_with(bytes, {0x9b})) return advance(cpu, 1);
    if (starts_with(bytes, {0xdb, 0xe2})) return complete_fnclex(cpu);
    if (starts_with(bytes, {0x0f, 0x77})) return complete_emms(cpu);
    if (starts_with(bytes, {0x0f, 0x01, 0xca})) return complete_ac_flag(cpu, false);
    if (starts_with(bytes, {0x0f, 0x01, 0xcb})) return complete_ac_flag(cpu, true);
    if (starts_with(bytes, {0x0f, 0x01, 0xf9})) return complete_rdtscp(cpu);
    if (starts_with(bytes, {0x0f, 0x01, 0xd0})) return complete_xgetbv(cpu);
    if (starts_with(bytes, {0xf3})) return complete_popcnt(bytes, cpu);
    return complete_mxcsr(bytes, cpu);
}

}  // namespace fmvm
