// SPDX-License-Identifier: Apache-2.0
// The CPUID policy: what a guest is told about its processors.
//
//  - Everything KVM supports on this host is passed on (KVM_GET_SUPPORTED_CPUID), KVM's own leaves
//    (0x40000000) included, so that guests find kvmclock.
//  - Topology is ours: one package, one core per vCPU, no threads; the APIC id is the vCPU index
//    (leaves 1, 4, 0xb, 0x1f, 0x80000008, 0x8000001d and 0x8000001e).
//  - Taken away: what the guest's CPU model leaves out (vmm/cpu/cpu_model.h); what has state that
//  is not
//    captured at a cut, which are the performance monitoring unit (leaves 0xa and 0x80000022) and
//    nested virtualisation (VMX, SVM); MONITOR/MWAIT; thermal and power leaf 6 but for ARAT,
//    without which Linux distrusts the APIC timer; and, where ring 0 is emulated, CMPXCHG16B, which
//    that emulator refuses and SLUB would use.
//  - Added: x2APIC and the hypervisor bit, and the TSC deadline timer when KVM has it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "vmm/cpu/cpu_model.h"
#include "vmm/kvm/kvm_api.h"

namespace fmvm {

struct CpuidPolicy {
    unsigned vcpu_id = 0;
    unsigned vcpu_count = 1;
    bool tsc_deadline = false;    // KVM_CAP_TSC_DEADLINE_TIMER
    bool ring0_emulated = false;  // see vmm/host/host_probe.h
    CpuModel model{};
};

std::vector<kvm_cpuid_entry2> apply_cpuid_policy(std::vector<kvm_cpuid_entry2> supported,
                                                 const CpuidPolicy& policy);

// KVM_SET_CPUID2, before the vCPU has run.
Result<void> set_vcpu_cpuid(int vcpu_fd, std::span<const kvm_cpuid_entry2> entries);

}  // namespace fmvm
