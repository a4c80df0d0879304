// SPDX-License-Identifier: Apache-2.0
// CPUID as tests make it up.
#pragma once

#include <vector>

#include "vmm/kvm/kvm_api.h"

namespace fmvm::test {

// A leaf with every bit set.
inline kvm_cpuid_entry2 leaf(std::uint32_t function, std::uint32_t index = 0) {
    kvm_cpuid_entry2 entry{};
    entry.function = function;
    entry.index = index;
    entry.eax = entry.ebx = entry.ecx = entry.edx = 0xffffffff;
    return entry;
}

// Null when it is not there.
inline const kvm_cpuid_entry2* find(const std::vector<kvm_cpuid_entry2>& entries,
                                    std::uint32_t function, std::uint32_t index = 0) {
    for (const kvm_cpuid_entry2& entry : entries) {
        if (entry.function == function && entry.index == index) return &entry;
    }
    return nullptr;
}

}  // namespace fmvm::test
