// SPDX-License-Identifier: Apache-2.0
// The CPUID policy: what a guest is told about its processors.
//
//  - Everything KVM supports on this host is passed on (KVM_GET_SUPPORTED_CPUID), KVM's own leaves
//    (0x40000000) included, so that guests find kvmclock.
//  - Topology is ours: one package, one core per vCPU, no threads; the APIC id is the vCPU index
//    (leaves 1, 4, 0xb, 0x1f, 0x80000008, 0x8000001d and 0x8000001e).
//  - Taken away: the performance monitoring unit (leaf 0xa), because its state is not captured at
//    a cut; MONITOR/MWAIT; thermal and power leaf 6 but for ARAT, without which Linux distrusts the
//    APIC timer; and, where ring 0 is emulated, CMPXCHG16B, which that emulator refuses and SLUB
//    would use.
//  - Added: x2APIC and the hypervisor bit, and the TSC deadline timer when KVM has it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "vmm/kvm_api.h"

namespace fmvm {

struct CpuidPolicy {
    unsigned vcpu_id = 0;
    unsigned vcpu_count = 1;
    bool tsc_deadline = false;    // KVM_CAP_TSC_DEADLINE_TIMER
    bool ring0_emulated = false;  // see vmm/host_probe.h
};

std::vector<kvm_cpuid_entry2> apply_cpuid_policy(std::vector<kvm_cpuid_entry2> supported,
                                                 const CpuidPolicy& policy);

// The feature words that `wanted` has and `host` (what KVM supports) lacks, as "leaf 0x7.ebx
// 0x00000020, ..."; empty when a guest started with `wanted` can go on here. Bits that fmvm sets by
// itself (policy above) are not features of the host.
std::string missing_cpu_features(std::span<const kvm_cpuid_entry2> wanted,
                                 std::span<const kvm_cpuid_entry2> host);

// KVM_SET_CPUID2, before the vCPU has run.
Result<void> set_vcpu_cpuid(int vcpu_fd, std::span<const kvm_cpuid_entry2> entries);

}  // namespace fmvm
