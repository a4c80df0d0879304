// SPDX-License-Identifier: Apache-2.0
// One KVM virtual machine: memory slots, the in-kernel interrupt chips and timer, eventfd wiring.
// Ioctls: Documentation/virt/kvm/api.rst. Threads: any, as KVM allows; fmvm sets up from one.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"
#include "vmm/kvm/kvm.h"
#include "vmm/memory/guest_address.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm {

enum class DirtyLogging { off, on };

class Vm {
  public:
    // Creates the VM with PIC, IOAPIC, local APICs and PIT in the kernel, and each region of
    // `memory` mapped as one slot (slot number = region index). The memory must outlive this VM.
    static Result<Vm> create(const Kvm& kvm, const GuestMemory& memory);

    // Whether writes to that memory are logged; the guest may run.
    Result<void> map_memory(const GuestMemory& memory, DirtyLogging logging) const;

    Result<UniqueFd> create_vcpu(unsigned id) const;

    // Writing to the returned eventfd pulses the interrupt pin (an edge).
    Result<UniqueFd> create_irq_eventfd(unsigned gsi) const;
    // Writes of `value` as 32 bits to the MMIO address signal the eventfd without leaving KVM.
    Result<void> add_ioeventfd(GuestAddress address, std::uint32_t value, int event_fd) const;

    int fd() const { return fd_.get(); }

  private:
    explicit Vm(UniqueFd fd) : fd_(std::move(fd)) {}
    Result<void> set_up_chips(const Kvm& kvm);
    void leave_out_pmu(const Kvm& kvm);

    UniqueFd fd_;
};

}  // namespace fmvm
