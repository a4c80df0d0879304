// SPDX-License-Identifier: Apache-2.0
// Which of its host's CPU features a guest is shown, so that it can go on on a host that lacks
// some: all of them (`host`), those of an x86-64 level (`x86-64-v2`), in both cases without those
// that are named (`host,-avx512f`).
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "vmm/cpu/cpu_features.h"

namespace fmvm {

struct CpuModel {
    CpuLevel level_max = CpuLevel::beyond;
    std::vector<const CpuFeature*> without;

    bool operator==(const CpuModel&) const = default;
};

Result<CpuModel> parse_guest_cpu(std::string_view text);

// Takes away what the model leaves out, whatever is of no use without that, and the state that
// belongs to it (leaf 0xd).
void apply_cpu_model(std::vector<kvm_cpuid_entry2>& entries, const CpuModel& model);

}  // namespace fmvm
