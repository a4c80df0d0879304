// SPDX-License-Identifier: Apache-2.0
#include "vmm/emulation/emulation_assist.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/msr.h"

namespace fmvm {

bool KvmAssistCpu::get_regs(kvm_regs& regs) {
    return retry_ioctl(fd_, KVM_GET_REGS, &regs) == 0;
}

bool KvmAssistCpu::set_regs(const kvm_regs& regs) {
    kvm_regs copy = regs;
    return retry_ioctl(fd_, KVM_SET_REGS, &copy) == 0;
}

bool KvmAssistCpu::get_fpu(kvm_fpu& fpu) {
    return retry_ioctl(fd_, KVM_GET_FPU, &fpu) == 0;
}

bool KvmAssistCpu::set_fpu(const kvm_fpu& fpu) {
    kvm_fpu copy = fpu;
    return retry_ioctl(fd_, KVM_SET_FPU, &copy) == 0;
}

bool KvmAssistCpu::read_msr(std::uint32_t index, std::uint64_t& value) {
    Result<std::uint64_t> read = get_msr(fd_, index);
    if (read.ok()) value = read.value();
    return read.ok();
}

bool KvmAssistCpu::read_xcr0(std::uint64_t& value) {
    kvm_xcrs xcrs{};
    if (retry_ioctl(fd_, KVM_GET_XCRS, &xcrs) != 0) return false;
    for (std::uint32_t i = 0; i < xcrs.nr_xcrs && i < KVM_MAX_XCRS; ++i) {
        if (xcrs.xcrs[i].xcr == 0) {
            value = xcrs.xcrs[i].value;
            return true;
        }
    }
    return false;
}

bool KvmAssistCpu::in_64_bit_code() {
    kvm_sregs sregs{};
    return retry_ioctl(fd_, KVM_GET_SREGS, &sregs) == 0 && sregs.cs.l != 0;
}

// A word that crosses a page is left to the guest's report: no kernel places one so.
bool KvmAssistCpu::translate(std::uint64_t linear, bool write, GuestAddress& address) const {
    if (memory_ == nullptr || linear % page_size > page_size - sizeof(std::uint32_t)) return false;
    kvm_translation translation{};
    translation.linear_address = linear;
    if (retry_ioctl(fd_, KVM_TRANSLATE, &translation) != 0 || translation.valid == 0) return false;
    address = GuestAddress(translation.physical_address);
    return !write || translation.writeable != 0;
}

bool KvmAssistCpu::read_memory(std::uint64_t linear, std::uint32_t& value) {
    GuestAddress address;
    return translate(linear, false, address) && memory_->read_object(address, value);
}

bool KvmAssistCpu::write_memory(std::uint64_t linear, std::uint32_t value) {
    GuestAddress address;
    return translate(linear, true, address) && memory_->write_object(address, value);
}

bool KvmAssistCpu::inject_exception(std::uint8_t vector) {
    kvm_vcpu_events events{};
    if (retry_ioctl(fd_, KVM_GET_VCPU_EVENTS, &events) != 0) return false;
    events.exception = {};
    events.exception.injected = 1;
    events.exception.nr = vector;
    return retry_ioctl(fd_, KVM_SET_VCPU_EVENTS, &events) == 0;
}

}  // namespace fmvm
