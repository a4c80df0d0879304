// SPDX-License-Identifier: Apache-2.0
// The CPU features that differ between hosts, by the names that Linux shows in /proc/cpuinfo
// (mostly those of arch/x86/include/asm/cpufeatures.h), and where CPUID tells them: Intel SDM 2A,
// "CPUID"; AMD APM 3, appendix E.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "vmm/kvm/kvm_api.h"

namespace fmvm {

using CpuidWord = __u32 kvm_cpuid_entry2::*;

constexpr std::uint32_t cpuid_bit(unsigned index) {
    return std::uint32_t{1} << index;
}

// The lowest x86-64 level (psABI, "Micro-Architecture Levels") that contains a feature.
enum class CpuLevel : std::uint8_t {
    any,  // nothing that programs ask for: kernels do, so no level decides it
    v1,   // every x86-64
    v2,
    v3,
    v4,
    beyond,  // of programs, but in no level
};

struct CpuFeature {
    std::string_view name;
    std::uint32_t leaf, index;
    CpuidWord word;
    unsigned bit;
    CpuLevel level;
    std::string_view needs = {};  // without this feature it is of no use
    unsigned state = 0;           // the XSAVE component that it alone needs; 0: none
};

std::span<const CpuFeature> cpu_features();
const CpuFeature* find_cpu_feature(std::string_view name);  // null: unknown

}  // namespace fmvm
