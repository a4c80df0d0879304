// SPDX-License-Identifier: Apache-2.0
// A guest's clocks, saved and set together: kvmclock, and the time stamp counter (TSC) of every
// vCPU. A restored guest sees neither go back; both go on by the same time, which whoever restores
// it names: what really passed, or none, as for a guest that was paused.
//
// Sources: Linux Documentation/virt/kvm/devices/vcpu.rst (KVM_VCPU_TSC_CTRL), api.rst
// (KVM_GET_CLOCK), arch/x86/kvm/x86.c. A write of MSR_IA32_TSC does not do: within a second of what
// KVM expects, it takes the write for an attempt to synchronise vCPUs and gives the vCPU the TSC of
// the others (kvm_synchronize_tsc; user space is exempt since 6.7).
//
// Threads: the machine's controlling thread, while the vCPUs stand.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

#include "base/byte_codec.h"
#include "base/result.h"
#include "vmm/kvm/vm.h"

namespace fmvm {

struct ClockState {
    std::uint64_t kvmclock_ns = 0;
    std::uint64_t realtime_ns = 0;  // the host's CLOCK_REALTIME at that moment
    std::uint64_t tsc = 0;          // of the vCPUs at that moment

    void encode(ByteWriter& out) const;
    static ClockState decode(ByteReader& in);
};

// A vCPU's TSC as its state has it, a moment before or after the clocks', and IA32_TSC_ADJUST: to
// that KVM adds what the guest itself has moved the TSC by, so that it tells how far vCPUs are
// apart.
struct VcpuTsc {
    int vcpu_fd;
    std::uint64_t saved;
    std::uint64_t adjust;
};

// Both clocks as of one moment at which the TSC was set: all that it counts from there.
struct TscBase {
    std::uint64_t kvmclock_ns = 0;
    std::uint64_t tsc = 0;
    std::uint64_t adjust = 0;  // of the first vCPU
};
// Of a vCPU that was just made.
Result<TscBase> first_tsc_base(const Vm& vm);

Result<ClockState> save_clocks(const Vm& vm, std::span<const VcpuTsc> vcpus, const TscBase& base);

// The saved kvmclock and `passed` more, from now on. Before the vCPUs' MSRs: writing one of them
// makes KVM tell the guest when the clock was 0.
Result<void> restore_kvmclock(const Vm& vm, const ClockState& state,
                              std::chrono::nanoseconds passed);

// How a vCPU's TSC is set.
enum class TscMethod {
    offset,  // KVM_VCPU_TSC_OFFSET, since Linux 5.16
    msr,     // MSR_IA32_TSC
};
TscMethod tsc_method(int vcpu_fd);

// After restore_kvmclock(), and after whatever else sets up the vCPUs but their TSC deadlines,
// which are meant in the TSC that is set here. vCPUs are as far apart as their guest has put them.
struct RestoredTsc {
    TscBase base;
    double ahead_s = 0;  // of what it should be: some KVMs keep the host's
};
Result<RestoredTsc> restore_tsc(const Vm& vm, const ClockState& state,
                                std::span<const VcpuTsc> vcpus, TscMethod method);

}  // namespace fmvm
