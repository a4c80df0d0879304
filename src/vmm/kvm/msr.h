// SPDX-License-Identifier: Apache-2.0
// One model-specific register of a vCPU at a time (KVM_GET_MSRS, KVM_SET_MSRS); numbers of the
// Intel SDM, volume 4. Whole sets are vcpu_state's.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace fmvm {

constexpr std::uint32_t msr_tsc = 0x10;
constexpr std::uint32_t msr_tsc_adjust = 0x3b;
constexpr std::uint32_t msr_tsc_deadline = 0x6e0;
constexpr std::uint32_t msr_tsc_aux = 0xc0000103;

Result<std::uint64_t> get_msr(int vcpu_fd, std::uint32_t index);
Result<void> set_msr(int vcpu_fd, std::uint32_t index, std::uint64_t value);

}  // namespace fmvm
