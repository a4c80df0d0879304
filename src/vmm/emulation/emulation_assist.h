// SPDX-License-Identifier: Apache-2.0
// Completing ring-0 instructions that a KVM with an emulated ring 0 refuses, where their meaning
// needs nothing but registers and a word of memory. Semantics: Intel SDM 2A-2D. Which ones a host
// refuses: `fmvm check`.
#pragma once

#include <cstdint>
#include <span>

#include "vmm/kvm/kvm_api.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm {

// The registers that the assisted instructions use; an interface, so that tests need no KVM.
class AssistCpu {
  public:
    virtual ~AssistCpu() = default;
    virtual bool get_regs(kvm_regs& regs) = 0;
    virtual bool set_regs(const kvm_regs& regs) = 0;
    virtual bool get_fpu(kvm_fpu& fpu) = 0;
    virtual bool set_fpu(const kvm_fpu& fpu) = 0;
    virtual bool read_msr(std::uint32_t index, std::uint64_t& value) = 0;
    virtual bool read_xcr0(std::uint64_t& value) = 0;
    virtual bool in_64_bit_code() = 0;
    // A linear address of the guest, through its page tables.
    virtual bool read_memory(std::uint64_t linear, std::uint32_t& value) = 0;
    virtual bool write_memory(std::uint64_t linear, std::uint32_t value) = 0;
    // Queues exception `vector` without an error code, to be taken before the next instruction.
    virtual bool inject_exception(std::uint8_t vector) = 0;
};

// Carries out the instruction that starts at bytes[0] (as in kvm_run's emulation_failure) and
// advances RIP. False: not one of ours, or KVM refused a register; nothing was changed then.
bool complete_instruction(std::span<const std::uint8_t> bytes, AssistCpu& cpu);

// AssistCpu over a stopped KVM vCPU. Does not own the descriptor. Without memory, instructions that
// need it are not completed.
class KvmAssistCpu : public AssistCpu {
  public:
    KvmAssistCpu(int vcpu_fd, GuestMemory* memory) : fd_(vcpu_fd), memory_(memory) {}
    bool get_regs(kvm_regs& regs) override;
    bool set_regs(const kvm_regs& regs) override;
    bool get_fpu(kvm_fpu& fpu) override;
    bool set_fpu(const kvm_fpu& fpu) override;
    bool read_msr(std::uint32_t index, std::uint64_t& value) override;
    bool read_xcr0(std::uint64_t& value) override;
    bool in_64_bit_code() override;
    bool read_memory(std::uint64_t linear, std::uint32_t& value) override;
    bool write_memory(std::uint64_t linear, std::uint32_t value) override;
    bool inject_exception(std::uint8_t vector) override;

  private:
    bool translate(std::uint64_t linear, bool write, GuestAddress& address) const;

    int fd_;
    GuestMemory* memory_;
};

}  // namespace fmvm
