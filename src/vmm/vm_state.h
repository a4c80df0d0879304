// SPDX-License-Identifier: Apache-2.0
// What KVM keeps for the whole VM: interrupt chips, timer and the guest's clock.
#pragma once

#include <array>

#include "base/byte_codec.h"
#include "base/result.h"
#include "vmm/kvm_api.h"
#include "vmm/vm.h"

namespace fmvm {

struct VmState {
    std::array<kvm_irqchip, 3> chips{};  // PIC master and slave, IOAPIC
    kvm_pit_state2 pit{};
    std::uint64_t clock_ns = 0;  // kvmclock

    static constexpr std::uint32_t version = 1;
    void encode(ByteWriter& out) const;
    static VmState decode(ByteReader& in);  // the reader tells whether it fits
};

// While the vCPUs stand. A restored guest's clocks go on where they stopped: the time of the
// takeover is missing from them, as it is for a guest that was paused.
Result<VmState> save_vm_state(const Vm& vm);
Result<void> restore_vm_state(const Vm& vm, const VmState& state);

}  // namespace fmvm
