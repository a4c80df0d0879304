// SPDX-License-Identifier: Apache-2.0
// The whole state of one vCPU, as KVM gives and takes it (Linux Documentation/virt/kvm/api.rst).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/byte_codec.h"
#include "base/result.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/kvm_list.h"
#include "vmm/kvm/vm.h"

namespace fmvm {

struct VcpuState {
    std::vector<kvm_cpuid_entry2> cpuid;  // what the guest was told
    std::uint32_t tsc_khz = 0;
    kvm_mp_state mp_state{};
    kvm_regs regs{};
    kvm_sregs sregs{};
    std::vector<std::uint32_t> xsave;  // struct kvm_xsave, as long as this host needs it
    kvm_xcrs xcrs{};
    kvm_debugregs debugregs{};
    kvm_lapic_state lapic{};
    std::vector<kvm_msr_entry> msrs;
    kvm_vcpu_events events{};

    static constexpr std::uint32_t version = 1;
    void encode(ByteWriter& out) const;
    static VcpuState decode(ByteReader& in);  // the reader tells whether it fits

    // Changes what a guest can bring about and KVM tells, but does not take back.
    void make_restorable();
    std::uint64_t msr(std::uint32_t index) const;  // 0 if it is not there
};

// Reads and writes the states of one VM's vCPUs. It knows which MSRs this host's KVM can save. Use
// it while the vCPU stands, from one thread at a time.
class VcpuStateAccess {
  public:
    static Result<VcpuStateAccess> create(const Kvm& kvm, const Vm& vm);

    // Finds out what stays the same while the guest runs: which MSRs a vCPU with this one's CPUID
    // has, and its TSC frequency. Call it before the first save(), and again after a restore(),
    // which may change both. It is slow: not during a cut.
    Result<void> probe(int vcpu_fd);
    // cpuid: what the vCPU was given.
    Result<VcpuState> save(int vcpu_fd, std::vector<kvm_cpuid_entry2> cpuid);
    // On a vCPU that has never run. Sets everything but the TSC, which is set with the guest's
    // other clocks (vmm/cpu/guest_clock.h), and the TSC deadline, which start_timer() sets after
    // that. Refuses what this host cannot provide, with the reason.
    Result<void> restore(int vcpu_fd, const VcpuState& state) const;
    Result<void> start_timer(int vcpu_fd, const VcpuState& state) const;
    // Whether restore() would succeed: KVM itself is asked, on a vCPU that has never run.
    // Afterwards the vCPU holds the state but no armed timer, and guest memory is untouched.
    // restore() may follow, with any state. MSRs that name guest memory are not tried
    // (memory_msrs.h). held: the state that the last call put into this vCPU, or null. What is the
    // same is not tried again.
    Result<void> try_restore(int vcpu_fd, const VcpuState& state, const VcpuState* held) const;

  private:
    VcpuStateAccess() = default;
    using MsrList = KvmList<kvm_msrs, kvm_msr_entry>;
    Result<std::vector<kvm_msr_entry>> save_msrs(int vcpu_fd);
    Result<void> put(int vcpu_fd, const VcpuState& state, const VcpuState* held,
                     const std::vector<kvm_msr_entry>& msrs) const;
    Result<void> put_features(int vcpu_fd, const VcpuState& state, const VcpuState* held) const;
    Result<void> put_fpu(int vcpu_fd, const VcpuState& state, const VcpuState* held) const;
    Result<void> put_msrs(int vcpu_fd, const std::vector<kvm_msr_entry>& msrs) const;
    Result<void> check_host(int vcpu_fd, const VcpuState& state) const;

    std::vector<kvm_cpuid_entry2> supported_cpuid_;
    std::vector<std::uint32_t> msr_indices_;  // those that this KVM may have
    MsrList msrs_{0};                         // those that these vCPUs have
    std::uint32_t tsc_khz_ = 0;               // 0: unknown
    std::size_t xsave_words_ = 0;
    bool has_xsave2_ = false;
    bool has_xcrs_ = false;
    bool has_tsc_control_ = false;
};

}  // namespace fmvm
