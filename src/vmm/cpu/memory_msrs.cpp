// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/memory_msrs.h"

#include <algorithm>
#include <array>

namespace fmvm {

namespace {

enum class Rule {
    any,             // KVM takes every value, and writes nothing if it names no RAM
    reserved_bits,   // these bits must be clear
    aligned_in_ram,  // these bits must be clear, and while bit 0 is set the address must be RAM
    not_offered,     // Hyper-V's; fmvm offers none of its interfaces, so that the MSR stays 0
};

struct MemoryMsr {
    std::uint32_t index;
    Rule rule;
    std::uint64_t clear_bits = 0;
};

constexpr std::array memory_msrs = {
    MemoryMsr{0x11, Rule::any},                         // wall clock, the old number
    MemoryMsr{0x12, Rule::any},                         // system time, the old number
    MemoryMsr{0x4b564d00, Rule::any},                   // wall clock
    MemoryMsr{0x4b564d01, Rule::any},                   // system time
    MemoryMsr{0x4b564d02, Rule::reserved_bits, 0x30},   // asynchronous page faults
    MemoryMsr{0x4b564d03, Rule::reserved_bits, 0x3e},   // steal time
    MemoryMsr{0x4b564d04, Rule::aligned_in_ram, 0x02},  // paravirtual end of interrupt
    MemoryMsr{0x40000001, Rule::not_offered},           // hypercall page
    MemoryMsr{0x40000021, Rule::not_offered},           // reference TSC page
    MemoryMsr{0x40000073, Rule::not_offered},           // virtual processor's assist page
    MemoryMsr{0x40000082, Rule::not_offered},           // synthetic interrupts: event flags
    MemoryMsr{0x40000083, Rule::not_offered},           // synthetic interrupts: messages
};

const MemoryMsr* find(std::uint32_t index) {
    const auto found = std::ranges::find(memory_msrs, index, &MemoryMsr::index);
    return found == memory_msrs.end() ? nullptr : &*found;
}

bool is_accepted(const MemoryMsr& msr, std::uint64_t value, const GuestMemory& memory) {
    constexpr std::uint64_t enabled = 1;
    switch (msr.rule) {
        case Rule::any:
            return true;
        case Rule::reserved_bits:
            return (value & msr.clear_bits) == 0;
        case Rule::aligned_in_ram:
            return (value & msr.clear_bits) == 0 &&
                   ((value & enabled) == 0 || memory.contains(GuestAddress(value & ~enabled), 1));
        case Rule::not_offered:
            return value == 0;
    }
    return false;
}

}  // namespace

// The numbers of KVM's own range that are not documented may name memory, too: a KVM with a backend
// of its own (PVM) uses some of them.
bool names_guest_memory(std::uint32_t msr) {
    constexpr std::uint32_t undocumented = 0x4b564d09, end = 0x4b564e00;
    return find(msr) != nullptr || (msr >= undocumented && msr < end);
}

Result<void> check_memory_msr(const kvm_msr_entry& msr, const GuestMemory& memory) {
    const MemoryMsr* const known = find(msr.index);
    if (known == nullptr || is_accepted(*known, msr.data, memory)) return {};
    return make_error("no guest can have {:#x} in MSR {:#x}", msr.data, msr.index);
}

}  // namespace fmvm
