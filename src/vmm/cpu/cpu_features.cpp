// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/cpu_features.h"

#include <algorithm>

namespace fmvm {

namespace {

using enum CpuLevel;
constexpr CpuidWord eax = &kvm_cpuid_entry2::eax;
constexpr CpuidWord ebx = &kvm_cpuid_entry2::ebx;
constexpr CpuidWord ecx = &kvm_cpuid_entry2::ecx;
constexpr CpuidWord edx = &kvm_cpuid_entry2::edx;

constexpr CpuFeature features[] = {
    {"pni", 0x1, 0, ecx, 0, v2},
    {"pclmulqdq", 0x1, 0, ecx, 1, beyond},
    {"ssse3", 0x1, 0, ecx, 9, v2},
    {"fma", 0x1, 0, ecx, 12, v3, "avx"},
    {"cx16", 0x1, 0, ecx, 13, v2},
    {"pcid", 0x1, 0, ecx, 17, any},
    {"sse4_1", 0x1, 0, ecx, 19, v2},
    {"sse4_2", 0x1, 0, ecx, 20, v2},
    {"movbe", 0x1, 0, ecx, 22, v3},
    {"popcnt", 0x1, 0, ecx, 23, v2},
    {"aes", 0x1, 0, ecx, 25, beyond},
    {"xsave", 0x1, 0, ecx, 26, v3},
    {"avx", 0x1, 0, ecx, 28, v3, "xsave", 2},
    {"f16c", 0x1, 0, ecx, 29, v3, "avx"},
    {"rdrand", 0x1, 0, ecx, 30, beyond},
    {"fsgsbase", 0x7, 0, ebx, 0, any},
    {"tsc_adjust", 0x7, 0, ebx, 1, any},
    {"bmi1", 0x7, 0, ebx, 3, v3},
    {"hle", 0x7, 0, ebx, 4, beyond},
    {"avx2", 0x7, 0, ebx, 5, v3, "avx"},
    {"smep", 0x7, 0, ebx, 7, any},
    {"bmi2", 0x7, 0, ebx, 8, v3},
    {"erms", 0x7, 0, ebx, 9, beyond},
    {"invpcid", 0x7, 0, ebx, 10, any},
    {"rtm", 0x7, 0, ebx, 11, beyond},
    {"avx512f", 0x7, 0, ebx, 16, v4, "avx2", 5},
    {"avx512dq", 0x7, 0, ebx, 17, v4, "avx512f"},
    {"rdseed", 0x7, 0, ebx, 18, beyond},
    {"adx", 0x7, 0, ebx, 19, beyond},
    {"smap", 0x7, 0, ebx, 20, any},
    {"avx512ifma", 0x7, 0, ebx, 21, beyond, "avx512f"},
    {"clflushopt", 0x7, 0, ebx, 23, beyond},
    {"clwb", 0x7, 0, ebx, 24, beyond},
    {"avx512cd", 0x7, 0, ebx, 28, v4, "avx512f"},
    {"sha_ni", 0x7, 0, ebx, 29, beyond},
    {"avx512bw", 0x7, 0, ebx, 30, v4, "avx512f"},
    {"avx512vl", 0x7, 0, ebx, 31, v4, "avx512f"},
    {"avx512vbmi", 0x7, 0, ecx, 1, beyond, "avx512f"},
    {"umip", 0x7, 0, ecx, 2, any},
    {"waitpkg", 0x7, 0, ecx, 5, beyond},
    {"pku", 0x7, 0, ecx, 3, beyond, "xsave", 9},
    {"avx512_vbmi2", 0x7, 0, ecx, 6, beyond, "avx512f"},
    {"gfni", 0x7, 0, ecx, 8, beyond},
    {"vaes", 0x7, 0, ecx, 9, beyond, "avx"},
    {"vpclmulqdq", 0x7, 0, ecx, 10, beyond, "avx"},
    {"avx512_vnni", 0x7, 0, ecx, 11, beyond, "avx512f"},
    {"avx512_bitalg", 0x7, 0, ecx, 12, beyond, "avx512f"},
    {"avx512_vpopcntdq", 0x7, 0, ecx, 14, beyond, "avx512f"},
    {"la57", 0x7, 0, ecx, 16, any},
    {"rdpid", 0x7, 0, ecx, 22, beyond},
    {"cldemote", 0x7, 0, ecx, 25, beyond},
    {"movdiri", 0x7, 0, ecx, 27, beyond},
    {"movdir64b", 0x7, 0, ecx, 28, beyond},
    {"fsrm", 0x7, 0, edx, 4, beyond},
    {"avx512_vp2intersect", 0x7, 0, edx, 8, beyond, "avx512f"},
    {"serialize", 0x7, 0, edx, 14, beyond},
    {"amx_bf16", 0x7, 0, edx, 22, beyond, "amx_tile"},
    {"avx512_fp16", 0x7, 0, edx, 23, beyond, "avx512f"},
    {"amx_tile", 0x7, 0, edx, 24, beyond, "xsave", 17},
    {"amx_int8", 0x7, 0, edx, 25, beyond, "amx_tile"},
    {"spec_ctrl", 0x7, 0, edx, 26, any},
    {"intel_stibp", 0x7, 0, edx, 27, any},
    {"arch_capabilities", 0x7, 0, edx, 29, any},
    {"ssbd", 0x7, 0, edx, 31, any},
    {"sha512", 0x7, 1, eax, 0, beyond, "avx"},
    {"sm3", 0x7, 1, eax, 1, beyond, "avx"},
    {"sm4", 0x7, 1, eax, 2, beyond, "avx"},
    {"avx_vnni", 0x7, 1, eax, 4, beyond, "avx"},
    {"avx512_bf16", 0x7, 1, eax, 5, beyond, "avx512f"},
    {"cmpccxadd", 0x7, 1, eax, 7, beyond},
    {"amx_fp16", 0x7, 1, eax, 21, beyond, "amx_tile"},
    {"avx_ifma", 0x7, 1, eax, 23, beyond, "avx"},
    {"avx_vnni_int8", 0x7, 1, edx, 4, beyond, "avx"},
    {"avx_ne_convert", 0x7, 1, edx, 5, beyond, "avx"},
    {"avx_vnni_int16", 0x7, 1, edx, 10, beyond, "avx"},
    {"prefetchi", 0x7, 1, edx, 14, beyond},
    {"xsaveopt", 0xd, 1, eax, 0, beyond, "xsave"},
    {"xsavec", 0xd, 1, eax, 1, beyond, "xsave"},
    {"xgetbv1", 0xd, 1, eax, 2, beyond, "xsave"},
    {"xsaves", 0xd, 1, eax, 3, beyond, "xsave"},
    {"lahf_lm", 0x80000001, 0, ecx, 0, v2},
    {"abm", 0x80000001, 0, ecx, 5, v3},
    {"sse4a", 0x80000001, 0, ecx, 6, beyond},
    {"misalignsse", 0x80000001, 0, ecx, 7, beyond},
    {"3dnowprefetch", 0x80000001, 0, ecx, 8, beyond},
    {"xop", 0x80000001, 0, ecx, 11, beyond, "avx"},
    {"fma4", 0x80000001, 0, ecx, 16, beyond, "avx"},
    {"tbm", 0x80000001, 0, ecx, 21, beyond},
    {"mmxext", 0x80000001, 0, edx, 22, beyond},
    {"fxsr_opt", 0x80000001, 0, edx, 25, any},
    {"pdpe1gb", 0x80000001, 0, edx, 26, any},
    {"rdtscp", 0x80000001, 0, edx, 27, beyond},
    {"3dnowext", 0x80000001, 0, edx, 30, beyond},
    {"3dnow", 0x80000001, 0, edx, 31, beyond},
    {"clzero", 0x80000008, 0, ebx, 0, beyond},
    {"wbnoinvd", 0x80000008, 0, ebx, 9, any},
    {"ibpb", 0x80000008, 0, ebx, 12, any},
    {"ibrs", 0x80000008, 0, ebx, 14, any},
    {"stibp", 0x80000008, 0, ebx, 15, any},
    {"amd_ssbd", 0x80000008, 0, ebx, 24, any},
    {"virt_ssbd", 0x80000008, 0, ebx, 25, any},
};

}  // namespace

std::span<const CpuFeature> cpu_features() {
    return features;
}

const CpuFeature* find_cpu_feature(std::string_view name) {
    const auto found = std::ranges::find(features, name, &CpuFeature::name);
    return found == std::end(features) ? nullptr : found;
}

}  // namespace fmvm
