// SPDX-License-Identifier: Apache-2.0
// Leaf and bit numbers: Intel SDM 2A, "CPUID"; AMD APM 3, appendix E.
#include "vmm/cpu/cpuid.h"

#include <algorithm>
#include <bit>

#include "vmm/kvm/kvm.h"
#include "vmm/kvm/kvm_list.h"

namespace fmvm {

namespace {

void set_bit(std::uint32_t& word, unsigned index, bool value) {
    word = value ? word | cpuid_bit(index) : word & ~cpuid_bit(index);
}

void set_features(kvm_cpuid_entry2& entry, const CpuidPolicy& policy) {
    const std::uint32_t id = policy.vcpu_id & 0xff;
    const std::uint32_t count = std::min(policy.vcpu_count, 255U);
    entry.ebx = (entry.ebx & 0x0000ffff) | count << 16 | id << 24;
    set_bit(entry.ecx, 3, false);                              // MONITOR
    set_bit(entry.ecx, 5, false);                              // VMX
    set_bit(entry.ecx, 15, false);                             // PDCM: performance counters
    if (policy.ring0_emulated) set_bit(entry.ecx, 13, false);  // CMPXCHG16B
    set_bit(entry.ecx, 21, true);                              // x2APIC
    set_bit(entry.ecx, 24, policy.tsc_deadline);
    set_bit(entry.ecx, 31, true);                   // hypervisor
    set_bit(entry.edx, 28, policy.vcpu_count > 1);  // HTT: EBX[23:16] is valid
}

// Leaf 4: caches are private to a core; as many cores in the package as vCPUs.
void set_cache_topology(kvm_cpuid_entry2& entry, const CpuidPolicy& policy) {
    if ((entry.eax & 0x1f) == 0) return;  // the closing entry
    const std::uint32_t cores = std::min(std::bit_ceil(policy.vcpu_count), 64U) - 1;
    entry.eax = (entry.eax & 0x3fff) | cores << 26;
}

// Leaves 0xb and 0x1f: level 0 threads (one), level 1 cores, then invalid.
void set_extended_topology(kvm_cpuid_entry2& entry, const CpuidPolicy& policy) {
    const auto width = static_cast<std::uint32_t>(std::bit_width(policy.vcpu_count - 1));
    entry.eax = entry.index == 1 ? width : 0;
    entry.ebx = entry.index == 0 ? 1 : entry.index == 1 ? policy.vcpu_count : 0;
    constexpr std::uint32_t level_type[] = {1, 2};  // SMT, core
    entry.ecx = entry.index | (entry.index < 2 ? level_type[entry.index] << 8 : 0);
    entry.edx = policy.vcpu_id;
}

void apply(kvm_cpuid_entry2& entry, const CpuidPolicy& policy) {
    switch (entry.function) {
        case 0x1:
            set_features(entry, policy);
            break;
        case 0x4:
            set_cache_topology(entry, policy);
            break;
        case 0x6:
            entry.eax &= cpuid_bit(2);  // ARAT: the APIC timer never stops
            entry.ebx = entry.ecx = entry.edx = 0;
            break;
        case 0xa:
        case 0x80000022:  // AMD's performance counters
        case 0x8000000a:  // SVM
            entry.eax = entry.ebx = entry.ecx = entry.edx = 0;
            break;
        case 0xb:
        case 0x1f:
            set_extended_topology(entry, policy);
            break;
        case 0x80000001:
            set_bit(entry.ecx, 2, false);  // SVM
            for (const unsigned counters : {23U, 24U, 28U})
                set_bit(entry.ecx, counters, false);
            break;
        case 0x80000008: {
            const std::uint32_t cores = std::min(policy.vcpu_count, 256U) - 1;
            entry.ecx = (entry.ecx & ~0xf0ffU) | cores;
            break;
        }
        case 0x8000001d:  // AMD's leaf 4: caches are not shared
            entry.eax &= ~(0xfffU << 14);
            break;
        case 0x8000001e:  // AMD: APIC id, core id and threads per core, node
            entry.eax = policy.vcpu_id;
            entry.ebx = policy.vcpu_id & 0xff;
            entry.ecx = 0;
            break;
        default:
            break;
    }
}

}  // namespace

std::vector<kvm_cpuid_entry2> apply_cpuid_policy(std::vector<kvm_cpuid_entry2> supported,
                                                 const CpuidPolicy& policy) {
    const auto topology = [](const kvm_cpuid_entry2& entry) {
        return entry.function == 0xb || entry.function == 0x1f;
    };
    // KVM lists only the first of these sub-leaves; give all three.
    std::vector<kvm_cpuid_entry2> result;
    for (kvm_cpuid_entry2& entry : supported) {
        if (!topology(entry)) {
            result.push_back(entry);
        } else if (entry.index == 0) {
            for (std::uint32_t index = 0; index < 3; ++index) {
                entry.index = index;
                entry.flags |= KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
                result.push_back(entry);
            }
        }
    }
    apply_cpu_model(result, policy.model);
    for (kvm_cpuid_entry2& entry : result)
        apply(entry, policy);
    return result;
}

Result<void> set_vcpu_cpuid(int vcpu_fd, std::span<const kvm_cpuid_entry2> entries) {
    KvmList<kvm_cpuid2, kvm_cpuid_entry2> list(entries.size());
    std::ranges::copy(entries, list.entries().begin());
    if (retry_ioctl(vcpu_fd, KVM_SET_CPUID2, list.get()) != 0) {
        return errno_error(errno, "KVM_SET_CPUID2 failed");
    }
    return {};
}

}  // namespace fmvm
