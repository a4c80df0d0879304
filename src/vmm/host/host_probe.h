// SPDX-License-Identifier: Apache-2.0
// What the KVM of this host can do: asked where there is a question for it, tried where there is
// none. Never concluded from CPU vendor, module name or timing.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "vmm/kvm/kvm.h"

namespace fmvm {

struct KvmCapability {
    std::string_view name;
    int value;    // of KVM_CHECK_EXTENSION; 0 is absent
    bool needed;  // fmvm cannot run a machine without it
};
std::vector<KvmCapability> probe_capabilities(const Kvm& kvm);

// Who executes the guest kernel's instructions.
enum class Ring0Kind {
    hardware,  // VT-x, SVM: the CPU
    emulated,  // KVM's instruction emulator, one by one, with gaps
};

// The quick answer, for every start of a machine: about a millisecond, all of it the making and
// closing of a scratch VM. Runs instructions that every CPU executes and no known emulator of KVM
// accepts; KVM reporting an emulation failure is the proof.
Result<Ring0Kind> probe_ring0(const Kvm& kvm);

// The long answer, for `fmvm check`.
enum class InstructionVerdict {
    ok,
    completed,  // the emulator does not know it, fmvm completes it
    refused,    // neither does
    faults,     // raises an exception: this CPU or its CPUID does not have it
};
struct InstructionProbe {
    std::string_view name;
    InstructionVerdict verdict;
};
struct Ring0Report {
    Ring0Kind kind;
    double million_instructions_per_s;  // a counted loop in ring 0, long mode
    std::vector<InstructionProbe> instructions;
};
Result<Ring0Report> measure_ring0(const Kvm& kvm);

}  // namespace fmvm
