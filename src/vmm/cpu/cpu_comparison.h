// SPDX-License-Identifier: Apache-2.0
// Whether a guest that was started on one host can go on on another, as far as CPUID tells.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "vmm/kvm/kvm_api.h"

namespace fmvm {

// What `wanted` has and `host` (what KVM supports) lacks, by name where there is one; empty when a
// guest started with `wanted` can go on here. Bits that fmvm sets by itself (vmm/cpu/cpuid.h) are
// not features of the host.
std::string missing_cpu_features(std::span<const kvm_cpuid_entry2> wanted,
                                 std::span<const kvm_cpuid_entry2> host);

// Refuses a guest that was started with `wanted` if `host` lacks some of it. name: what the host is
// called in the refusal, such as "this host".
Result<void> check_cpu_features(std::span<const kvm_cpuid_entry2> wanted,
                                std::span<const kvm_cpuid_entry2> host, std::string_view name);

}  // namespace fmvm
