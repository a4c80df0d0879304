// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/host_probe.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <span>

#include "vmm/host/scratch_vm.h"

namespace fmvm {

namespace {

struct CapabilityName {
    std::string_view name;
    int capability;
    bool needed;
};

// Needed: what the machine is built from. The rest serves state capture and dirty tracking, or has
// a slower way around it.
constexpr CapabilityName capability_names[] = {
    {"user memory", KVM_CAP_USER_MEMORY, true},
    {"memory slots", KVM_CAP_NR_MEMSLOTS, true},
    {"extended cpuid", KVM_CAP_EXT_CPUID, true},
    {"irqchip", KVM_CAP_IRQCHIP, true},
    {"irqfd", KVM_CAP_IRQFD, true},
    {"ioeventfd", KVM_CAP_IOEVENTFD, true},
    {"msi", KVM_CAP_SIGNAL_MSI, false},
    {"immediate exit", KVM_CAP_IMMEDIATE_EXIT, true},
    {"mp state", KVM_CAP_MP_STATE, true},
    {"vcpu events", KVM_CAP_VCPU_EVENTS, true},
    {"debug registers", KVM_CAP_DEBUGREGS, false},
    {"xsave", KVM_CAP_XSAVE, false},
    {"sync regs", KVM_CAP_SYNC_REGS, false},
    {"clock adjust", KVM_CAP_ADJUST_CLOCK, false},
    {"tsc deadline timer", KVM_CAP_TSC_DEADLINE_TIMER, false},
    {"manual dirty log protect", KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, false},
    {"dirty ring bytes", KVM_CAP_DIRTY_LOG_RING, false},
    {"vcpus recommended", KVM_CAP_NR_VCPUS, false},
    {"vcpus max", KVM_CAP_MAX_VCPUS, false},
};

struct Instruction {
    std::string_view name;
    std::array<std::uint8_t, 9> bytes;
    std::size_t size;
};

// Ring-0 instructions that kernels use and instruction emulators tend to lack. Operands: rdi points
// at zeroed memory, rax = 3 (so that xsave and xrstor name the x87 and SSE state), rcx = rdx = 0.
// Encodings: Intel SDM volume 2.
constexpr Instruction instructions[] = {
    {"int3", {0xcc}, 1},
    {"fwait", {0x9b}, 1},
    {"fnclex", {0xdb, 0xe2}, 2},
    {"fninit", {0xdb, 0xe3}, 2},
    {"emms", {0x0f, 0x77}, 2},
    {"clac", {0x0f, 0x01, 0xca}, 3},
    {"stac", {0x0f, 0x01, 0xcb}, 3},
    {"popcnt", {0xf3, 0x0f, 0xb8, 0xc0}, 4},
    {"crc32", {0xf2, 0x0f, 0x38, 0xf1, 0xc0}, 5},
    {"mulx", {0xc4, 0xe2, 0xfb, 0xf6, 0xd8}, 5},
    {"rdtscp", {0x0f, 0x01, 0xf9}, 3},
    {"rdrand", {0x0f, 0xc7, 0xf0}, 3},
    {"cmpxchg16b", {0x48, 0x0f, 0xc7, 0x0f}, 4},
    {"invpcid", {0x66, 0x0f, 0x38, 0x82, 0x07}, 5},  // type in rax: 3, all but global
    {"rdfsbase", {0xf3, 0x48, 0x0f, 0xae, 0xc0}, 5},
    {"fxsave", {0x0f, 0xae, 0x07}, 3},
    {"xgetbv", {0x0f, 0x01, 0xd0}, 3},
    {"xsave", {0x0f, 0xae, 0x27}, 3},
    {"xrstor", {0x0f, 0xae, 0x2f}, 3},
    {"movdqa", {0x66, 0x0f, 0x6f, 0x07}, 4},
    {"pxor", {0x66, 0x0f, 0xef, 0xc0}, 4},
};

constexpr std::uint64_t cr4_fsgsbase = 1U << 16;
constexpr std::uint64_t cr4_osxsave = 1U << 18;
constexpr std::uint32_t cpuid_1_ecx_xsave = 1U << 26;
constexpr std::uint32_t cpuid_7_ebx_fsgsbase = 1U << 0;

// The CR4 bits that rdfsbase and xgetbv need; setting one that CPUID does not have is refused.
std::uint64_t extra_cr4(std::span<const kvm_cpuid_entry2> cpuid) {
    std::uint64_t bits = 0;
    for (const kvm_cpuid_entry2& entry : cpuid) {
        if (entry.function == 1 && (entry.ecx & cpuid_1_ecx_xsave)) bits |= cr4_osxsave;
        if (entry.function == 7 && entry.index == 0 && (entry.ebx & cpuid_7_ebx_fsgsbase)) {
            bits |= cr4_fsgsbase;
        }
    }
    return bits;
}

Result<InstructionVerdict> try_instruction(ScratchVm& scratch, std::span<const std::uint8_t> code) {
    using Outcome = ScratchVm::Outcome;
    Outcome outcome = FMVM_TRY(scratch.run(ScratchVm::Mode::long64, code));
    const bool emulator_refused = outcome == Outcome::refused;
    if (emulator_refused) outcome = FMVM_TRY(scratch.run_on_assisted());
    if (outcome == Outcome::refused) return InstructionVerdict::refused;
    if (outcome == Outcome::faulted) return InstructionVerdict::faults;
    return emulator_refused ? InstructionVerdict::completed : InstructionVerdict::ok;
}

// Doubles a counted loop until it runs for a few milliseconds: long enough for an emulator and for
// a CPU, without knowing beforehand which one it is.
Result<double> measure_speed(ScratchVm& scratch) {
    constexpr std::uint8_t loop[] = {0xff, 0xc9, 0x75, 0xfc};  // 1: dec ecx; jnz 1b
    constexpr std::uint64_t instructions_per_round = 2;
    constexpr std::chrono::duration<double> long_enough = std::chrono::milliseconds(2);
    constexpr std::uint64_t rounds_max = 1U << 26;
    for (std::uint64_t rounds = 1U << 9;; rounds *= 2) {
        const auto start = std::chrono::steady_clock::now();
        const auto outcome = FMVM_TRY(scratch.run(ScratchVm::Mode::long64, loop, rounds));
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        if (outcome != ScratchVm::Outcome::completed) {
            return Error("this KVM cannot run a counted loop in ring 0");
        }
        if (took >= long_enough || rounds >= rounds_max) {
            return static_cast<double>(rounds * instructions_per_round) / took.count() / 1e6;
        }
    }
}

Result<Ring0Kind> ring0_kind(ScratchVm& scratch) {
    // fwait; pxor xmm0, xmm0: in every x86-64 CPU, in no emulator of KVM so far. In 32-bit mode
    // because the failure that tells us costs 15 us there, and milliseconds with paging on.
    constexpr std::uint8_t telltale[] = {0x9b, 0x66, 0x0f, 0xef, 0xc0};
    const auto outcome = FMVM_TRY(scratch.run(ScratchVm::Mode::protected32, telltale));
    return outcome == ScratchVm::Outcome::refused ? Ring0Kind::emulated : Ring0Kind::hardware;
}

}  // namespace

std::vector<KvmCapability> probe_capabilities(const Kvm& kvm) {
    std::vector<KvmCapability> capabilities;
    for (const CapabilityName& entry : capability_names) {
        capabilities.push_back({entry.name, kvm.extension(entry.capability), entry.needed});
    }
    return capabilities;
}

Result<Ring0Kind> probe_ring0(const Kvm& kvm) {
    ScratchVm scratch = FMVM_TRY(ScratchVm::create(kvm));
    return ring0_kind(scratch);
}

Result<Ring0Report> measure_ring0(const Kvm& kvm) {
    const std::vector<kvm_cpuid_entry2> cpuid = FMVM_TRY(kvm.supported_cpuid());
    ScratchVm scratch = FMVM_TRY(ScratchVm::create(kvm));
    FMVM_TRY(scratch.set_cpuid(cpuid));
    scratch.set_extra_cr4(extra_cr4(cpuid));

    Ring0Report report{};
    report.kind = FMVM_TRY(ring0_kind(scratch));
    report.million_instructions_per_s = FMVM_TRY(measure_speed(scratch));
    for (const Instruction& instruction : instructions) {
        const std::span bytes(instruction.bytes.data(), instruction.size);
        const InstructionVerdict verdict = FMVM_TRY(try_instruction(scratch, bytes));
        report.instructions.push_back({instruction.name, verdict});
    }
    return report;
}

}  // namespace fmvm
