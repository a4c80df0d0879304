// SPDX-License-Identifier: Apache-2.0
// What KVM keeps for the whole VM: interrupt chips and timer.
#pragma once

#include <array>

#include "base/byte_codec.h"
#include "base/result.h"
#include "vmm/kvm/kvm_api.h"
#include "vmm/kvm/vm.h"

namespace fmvm {

struct ChipsState {
    std::array<kvm_irqchip, 3> chips{};  // PIC master and slave, IOAPIC
    kvm_pit_state2 pit{};

    static constexpr std::uint32_t version = 2;
    void encode(ByteWriter& out) const;
    static ChipsState decode(ByteReader& in);  // the reader tells whether it fits
};

// While the vCPUs stand.
Result<ChipsState> save_vm_state(const Vm& vm);
Result<void> restore_vm_state(const Vm& vm, const ChipsState& state);

}  // namespace fmvm
