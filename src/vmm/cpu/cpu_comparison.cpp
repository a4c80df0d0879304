// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/cpu_comparison.h"

#include <algorithm>

#include "vmm/cpu/cpu_features.h"

namespace fmvm {

namespace {

struct FeatureWord {
    std::uint32_t leaf, index;
    CpuidWord word;
    std::string_view name;
    std::uint32_t ours;  // bits of the policy, not of the host
};

constexpr FeatureWord feature_words[] = {
    {0x1, 0, &kvm_cpuid_entry2::ecx, "0x1.ecx", cpuid_bit(21) | cpuid_bit(24) | cpuid_bit(31)},
    {0x1, 0, &kvm_cpuid_entry2::edx, "0x1.edx", cpuid_bit(28)},
    {0x7, 0, &kvm_cpuid_entry2::ebx, "0x7.ebx", 0},
    {0x7, 0, &kvm_cpuid_entry2::ecx, "0x7.ecx", 0},
    {0x7, 0, &kvm_cpuid_entry2::edx, "0x7.edx", 0},
    {0x7, 1, &kvm_cpuid_entry2::eax, "0x7.1.eax", 0},
    {0x7, 1, &kvm_cpuid_entry2::ebx, "0x7.1.ebx", 0},
    {0x7, 1, &kvm_cpuid_entry2::ecx, "0x7.1.ecx", 0},
    {0x7, 1, &kvm_cpuid_entry2::edx, "0x7.1.edx", 0},
    {0x7, 2, &kvm_cpuid_entry2::edx, "0x7.2.edx", 0},
    {0xd, 0, &kvm_cpuid_entry2::eax, "0xd.eax", 0},
    {0xd, 1, &kvm_cpuid_entry2::eax, "0xd.1.eax", 0},
    {0x80000001, 0, &kvm_cpuid_entry2::ecx, "0x80000001.ecx", 0},
    {0x80000001, 0, &kvm_cpuid_entry2::edx, "0x80000001.edx", 0},
    {0x80000008, 0, &kvm_cpuid_entry2::ebx, "0x80000008.ebx", 0},
};

std::uint32_t value(std::span<const kvm_cpuid_entry2> entries, const FeatureWord& word) {
    const auto found = std::ranges::find_if(entries, [&](const kvm_cpuid_entry2& entry) {
        return entry.function == word.leaf && entry.index == word.index;
    });
    return found == entries.end() ? 0 : (*found).*word.word;
}

std::string name_of(const FeatureWord& word, unsigned index) {
    for (const CpuFeature& feature : cpu_features()) {
        if (feature.leaf == word.leaf && feature.index == word.index && feature.word == word.word &&
            feature.bit == index)
            return std::string(feature.name);
    }
    return fmt::format("bit {} of leaf {}", index, word.name);
}

}  // namespace

std::string missing_cpu_features(std::span<const kvm_cpuid_entry2> wanted,
                                 std::span<const kvm_cpuid_entry2> host) {
    std::string missing;
    for (const FeatureWord& word : feature_words) {
        const std::uint32_t lacking = value(wanted, word) & ~value(host, word) & ~word.ours;
        for (unsigned index = 0; index < 32; ++index) {
            if ((lacking & cpuid_bit(index)) == 0) continue;
            if (!missing.empty()) missing += ", ";
            missing += name_of(word, index);
        }
    }
    return missing;
}

Result<void> check_cpu_features(std::span<const kvm_cpuid_entry2> wanted,
                                std::span<const kvm_cpuid_entry2> host, std::string_view name) {
    const std::string missing = missing_cpu_features(wanted, host);
    if (missing.empty()) return {};
    return make_error(
        "the guest was started with CPU features that {} lacks ({}); leave them out when it is "
        "started, with --cpu",
        name, missing);
}

}  // namespace fmvm
