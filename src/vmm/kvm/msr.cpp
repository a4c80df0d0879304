// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/msr.h"

#include "vmm/kvm/kvm.h"
#include "vmm/kvm/kvm_list.h"

namespace fmvm {

Result<std::uint64_t> get_msr(int vcpu_fd, std::uint32_t index) {
    KvmList<kvm_msrs, kvm_msr_entry> msrs(1);
    msrs.entries()[0].index = index;
    if (retry_ioctl(vcpu_fd, KVM_GET_MSRS, msrs.get()) != 1)
        return make_error("this host's KVM cannot read MSR {:#x}", index);
    return msrs.entries()[0].data;
}

Result<void> set_msr(int vcpu_fd, std::uint32_t index, std::uint64_t value) {
    KvmList<kvm_msrs, kvm_msr_entry> msrs(1);
    msrs.entries()[0] = {.index = index, .reserved = 0, .data = value};
    if (retry_ioctl(vcpu_fd, KVM_SET_MSRS, msrs.get()) != 1)
        return make_error("this host's KVM does not take {:#x} for MSR {:#x}", value, index);
    return {};
}

}  // namespace fmvm
