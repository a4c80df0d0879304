// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/vcpu_report.h"

#include <fmt/format.h>

#include "vmm/kvm/kvm.h"

namespace fmvm {

std::string hex_bytes(std::span<const std::uint8_t> bytes) {
    return fmt::format("{:02x}", fmt::join(bytes, " "));
}

std::string describe_vcpu(int vcpu_fd, unsigned id, const std::string& reason) {
    std::string text = fmt::format("vCPU {} stopped: {}", id, reason);
    kvm_sregs sregs{};
    if (retry_ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) == 0) {
        text += fmt::format(
            "\n  ring {} cs={:#x} cr0={:#x} cr2={:#x} cr3={:#x} cr4={:#x} efer={:#x}", sregs.ss.dpl,
            sregs.cs.selector, sregs.cr0, sregs.cr2, sregs.cr3, sregs.cr4, sregs.efer);
    }
    kvm_regs r{};
    if (retry_ioctl(vcpu_fd, KVM_GET_REGS, &r) == 0) {
        text += fmt::format(
            "\n  rip={:#018x} rflags={:#x}"
            "\n  rax={:#018x} rbx={:#018x} rcx={:#018x} rdx={:#018x}"
            "\n  rsi={:#018x} rdi={:#018x} rbp={:#018x} rsp={:#018x}"
            "\n  r8 ={:#018x} r9 ={:#018x} r10={:#018x} r11={:#018x}"
            "\n  r12={:#018x} r13={:#018x} r14={:#018x} r15={:#018x}",
            r.rip, r.rflags, r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9,
            r.r10, r.r11, r.r12, r.r13, r.r14, r.r15);
    }
    return text;
}

}  // namespace fmvm
