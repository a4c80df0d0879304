// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/cpu_model.h"

#include <algorithm>

namespace fmvm {

namespace {

constexpr std::uint32_t state_leaf = 0xd;

Result<CpuLevel> parse_level(std::string_view text) {
    if (text == "host") return CpuLevel::beyond;
    if (text == "x86-64-v1") return CpuLevel::v1;
    if (text == "x86-64-v2") return CpuLevel::v2;
    if (text == "x86-64-v3") return CpuLevel::v3;
    if (text == "x86-64-v4") return CpuLevel::v4;
    return make_error("'{}' is not a CPU model; give host or x86-64-v1 to x86-64-v4", text);
}

kvm_cpuid_entry2* find(std::vector<kvm_cpuid_entry2>& entries, std::uint32_t leaf,
                       std::uint32_t index) {
    const auto found = std::ranges::find_if(entries, [=](const kvm_cpuid_entry2& entry) {
        return entry.function == leaf && entry.index == index;
    });
    return found == entries.end() ? nullptr : &*found;
}

// Neither named nor above the level, and with all that it needs.
bool is_left_out(const CpuFeature& feature, const CpuModel& model) {
    if (feature.level > model.level_max) return true;
    if (std::ranges::find(model.without, &feature) != model.without.end()) return true;
    const CpuFeature* const needed =
        feature.needs.empty() ? nullptr : find_cpu_feature(feature.needs);
    return needed != nullptr && is_left_out(*needed, model);
}

void clear_state(std::vector<kvm_cpuid_entry2>& entries, unsigned component) {
    kvm_cpuid_entry2* const all = find(entries, state_leaf, 0);
    if (all != nullptr && component < 32) all->eax &= ~cpuid_bit(component);
    std::erase_if(entries, [component](const kvm_cpuid_entry2& entry) {
        return entry.function == state_leaf && entry.index == component;
    });
}

// ECX: the bytes that all components take, in the standard format (SDM 1, 13.4.2).
void measure_state(std::vector<kvm_cpuid_entry2>& entries) {
    kvm_cpuid_entry2* const all = find(entries, state_leaf, 0);
    if (all == nullptr) return;
    constexpr std::uint32_t legacy_and_header_bytes = 512 + 64;
    all->ecx = legacy_and_header_bytes;
    for (const kvm_cpuid_entry2& entry : entries) {
        const bool user = (entry.ecx & 1) == 0;
        if (entry.function == state_leaf && entry.index >= 2 && user && entry.eax != 0)
            all->ecx = std::max(all->ecx, entry.ebx + entry.eax);
    }
}

// AVX-512 has three components, AMX two.
void leave_out_state(std::vector<kvm_cpuid_entry2>& entries, const CpuFeature& feature) {
    clear_state(entries, feature.state);
    if (feature.name == "avx512f") {
        clear_state(entries, 6);
        clear_state(entries, 7);
    }
    if (feature.name == "amx_tile") clear_state(entries, 18);
}

// A level holds nothing that is not known here. Leaf 7 is where new features come; its first EAX
// counts sub-leaves, and leaf 0x24 is AVX10's.
void leave_out_unknown(std::vector<kvm_cpuid_entry2>& entries) {
    constexpr std::uint32_t leaf = 7, avx10_leaf = 0x24;
    for (kvm_cpuid_entry2& entry : entries) {
        if (entry.function != leaf) continue;
        kvm_cpuid_entry2 known{};
        for (const CpuFeature& feature : cpu_features()) {
            if (feature.leaf == leaf && feature.index == entry.index)
                known.*feature.word |= cpuid_bit(feature.bit);
        }
        if (entry.index != 0) entry.eax &= known.eax;
        entry.ebx &= known.ebx;
        entry.ecx &= known.ecx;
        entry.edx &= known.edx;
    }
    std::erase_if(entries,
                  [](const kvm_cpuid_entry2& entry) { return entry.function == avx10_leaf; });
}

}  // namespace

Result<CpuModel> parse_guest_cpu(std::string_view text) {
    CpuModel model;
    const std::size_t comma = text.find(',');
    model.level_max = FMVM_TRY(parse_level(text.substr(0, comma)));
    while (text.find(',') != std::string_view::npos) {
        text.remove_prefix(text.find(',') + 1);
        const std::string_view word = text.substr(0, text.find(','));
        const CpuFeature* const feature =
            word.starts_with('-') ? find_cpu_feature(word.substr(1)) : nullptr;
        if (feature == nullptr) {
            return make_error(
                "'{}' takes no CPU feature away; give -NAME with a name of "
                "/proc/cpuinfo, like -avx2",
                word);
        }
        if (std::ranges::find(model.without, feature) != model.without.end())
            return make_error("'{}' stands twice; give it once", word);
        model.without.push_back(feature);
    }
    return model;
}

void apply_cpu_model(std::vector<kvm_cpuid_entry2>& entries, const CpuModel& model) {
    if (model == CpuModel{}) return;
    if (model.level_max != CpuLevel::beyond) leave_out_unknown(entries);
    for (const CpuFeature& feature : cpu_features()) {
        if (!is_left_out(feature, model)) continue;
        if (kvm_cpuid_entry2* const entry = find(entries, feature.leaf, feature.index))
            entry->*feature.word &= ~cpuid_bit(feature.bit);
        if (feature.state != 0) leave_out_state(entries, feature);
    }
    if (is_left_out(*find_cpu_feature("xsave"), model)) {
        std::erase_if(entries,
                      [](const kvm_cpuid_entry2& entry) { return entry.function == state_leaf; });
    }
    measure_state(entries);
}

}  // namespace fmvm
