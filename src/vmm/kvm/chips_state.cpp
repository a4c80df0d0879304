// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/chips_state.h"

#include "vmm/kvm/kvm.h"

namespace fmvm {

namespace {

constexpr std::uint32_t chip_ids[] = {KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE,
                                      KVM_IRQCHIP_IOAPIC};

Result<void> call(const Vm& vm, unsigned long request, void* argument, const char* name) {
    if (retry_ioctl(vm.fd(), request, argument) != 0)
        return errno_error(errno, fmt::format("{} failed", name));
    return {};
}

}  // namespace

void ChipsState::encode(ByteWriter& out) const {
    for (const kvm_irqchip& chip : chips)
        out.abi_struct(chip);
    out.abi_struct(pit);
}

ChipsState ChipsState::decode(ByteReader& in) {
    ChipsState state;
    for (std::size_t i = 0; i < state.chips.size(); ++i) {
        state.chips[i] = in.abi_struct<kvm_irqchip>();
        if (state.chips[i].chip_id != chip_ids[i]) in.fail();
    }
    state.pit = in.abi_struct<kvm_pit_state2>();
    return state;
}

Result<ChipsState> save_vm_state(const Vm& vm) {
    ChipsState state;
    for (std::size_t i = 0; i < state.chips.size(); ++i) {
        state.chips[i].chip_id = chip_ids[i];
        FMVM_TRY(call(vm, KVM_GET_IRQCHIP, &state.chips[i], "KVM_GET_IRQCHIP"));
    }
    FMVM_TRY(call(vm, KVM_GET_PIT2, &state.pit, "KVM_GET_PIT2"));
    return state;
}

Result<void> restore_vm_state(const Vm& vm, const ChipsState& state) {
    for (kvm_irqchip chip : state.chips)
        FMVM_TRY(call(vm, KVM_SET_IRQCHIP, &chip, "KVM_SET_IRQCHIP"));
    kvm_pit_state2 pit = state.pit;
    return call(vm, KVM_SET_PIT2, &pit, "KVM_SET_PIT2");
}

}  // namespace fmvm
