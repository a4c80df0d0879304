// SPDX-License-Identifier: Apache-2.0
// The MSRs by which a guest tells KVM where in guest memory to keep something: clocks, steal time,
// and so on (Linux Documentation/virt/kvm/x86/msr.rst). KVM may write there at once, so they cannot
// be tried out; what KVM would refuse is checked here instead.
#pragma once

#include "base/result.h"
#include "vmm/kvm/kvm_api.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm {

bool names_guest_memory(std::uint32_t msr);

// Whether KVM takes this value for an MSR that names guest memory. Any other MSR is accepted.
Result<void> check_memory_msr(const kvm_msr_entry& msr, const GuestMemory& memory);

}  // namespace fmvm
