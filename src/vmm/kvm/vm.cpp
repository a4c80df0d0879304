// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/vm.h"

#include "base/event_fd.h"
#include "vmm/board/layout.h"

namespace fmvm {

// Memory first: the chips are added to KVM's buses by RCU, and a slot made right after that would
// wait for the end of the grace period (4 ms, measured on Linux 6.18).
Result<Vm> Vm::create(const Kvm& kvm, const GuestMemory& memory) {
    Vm vm(FMVM_TRY(kvm.create_vm()));
    FMVM_TRY(vm.map_memory(memory, DirtyLogging::off));
    FMVM_TRY(vm.set_up_chips(kvm));
    vm.leave_out_pmu(kvm);
    return vm;
}

// Its state is not captured at a cut, and CPUID alone does not hide it: AMD's first four counters
// need no bit there. Kernels before 5.18 cannot leave it out.
void Vm::leave_out_pmu(const Kvm& kvm) {
    if ((kvm.extension(KVM_CAP_PMU_CAPABILITY) & KVM_PMU_CAP_DISABLE) == 0) return;
    kvm_enable_cap off{};
    off.cap = KVM_CAP_PMU_CAPABILITY;
    off.args[0] = KVM_PMU_CAP_DISABLE;
    static_cast<void>(retry_ioctl(fd(), KVM_ENABLE_CAP, &off));
}

Result<void> Vm::set_up_chips(const Kvm& kvm) {
    // VMX without unrestricted guest needs these pages in the hole; elsewhere they are harmless.
    if (kvm.extension(KVM_CAP_SET_TSS_ADDR) != 0 &&
        retry_ioctl(fd(), KVM_SET_TSS_ADDR, layout::kvm_tss.value()) != 0) {
        return errno_error(errno, "KVM_SET_TSS_ADDR failed");
    }
    std::uint64_t identity_map = layout::kvm_identity_map.value();
    if (kvm.extension(KVM_CAP_SET_IDENTITY_MAP_ADDR) != 0 &&
        retry_ioctl(fd(), KVM_SET_IDENTITY_MAP_ADDR, &identity_map) != 0) {
        return errno_error(errno, "KVM_SET_IDENTITY_MAP_ADDR failed");
    }
    if (retry_ioctl(fd(), KVM_CREATE_IRQCHIP, 0UL) != 0) {
        return errno_error(errno, "KVM_CREATE_IRQCHIP failed");
    }
    kvm_pit_config pit{};
    pit.flags = KVM_PIT_SPEAKER_DUMMY;  // answers port 0x61, which kernels read to calibrate
    if (retry_ioctl(fd(), KVM_CREATE_PIT2, &pit) != 0) {
        return errno_error(errno, "KVM_CREATE_PIT2 failed");
    }
    return {};
}

Result<void> Vm::map_memory(const GuestMemory& memory, DirtyLogging logging) const {
    std::uint32_t slot = 0;
    for (const MemoryRegion& region : memory.regions()) {
        kvm_userspace_memory_region config{};
        config.slot = slot++;
        config.flags = logging == DirtyLogging::on ? KVM_MEM_LOG_DIRTY_PAGES : 0;
        config.guest_phys_addr = region.start.value();
        config.memory_size = region.size;
        config.userspace_addr = reinterpret_cast<std::uintptr_t>(region.host);
        if (retry_ioctl(fd(), KVM_SET_USER_MEMORY_REGION, &config) != 0) {
            return errno_error(errno, "KVM_SET_USER_MEMORY_REGION failed");
        }
    }
    return {};
}

Result<UniqueFd> Vm::create_vcpu(unsigned id) const {
    UniqueFd vcpu(retry_ioctl(fd(), KVM_CREATE_VCPU, static_cast<unsigned long>(id)));
    if (!vcpu) return errno_error(errno, fmt::format("KVM_CREATE_VCPU {} failed", id));
    return vcpu;
}

Result<UniqueFd> Vm::create_irq_eventfd(unsigned gsi) const {
    UniqueFd event = FMVM_TRY(create_eventfd());
    kvm_irqfd config{};
    config.fd = static_cast<std::uint32_t>(event.get());
    config.gsi = gsi;
    if (retry_ioctl(fd(), KVM_IRQFD, &config) != 0) {
        return errno_error(errno, fmt::format("KVM_IRQFD for interrupt {} failed", gsi));
    }
    return event;
}

Result<void> Vm::add_ioeventfd(GuestAddress address, std::uint32_t value, int event_fd) const {
    kvm_ioeventfd config{};
    config.datamatch = value;
    config.addr = address.value();
    config.len = sizeof value;
    config.fd = event_fd;
    config.flags = KVM_IOEVENTFD_FLAG_DATAMATCH;
    if (retry_ioctl(fd(), KVM_IOEVENTFD, &config) != 0) {
        return errno_error(errno, "KVM_IOEVENTFD failed");
    }
    return {};
}

}  // namespace fmvm
