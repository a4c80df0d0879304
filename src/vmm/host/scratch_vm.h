// SPDX-License-Identifier: Apache-2.0
// A throw-away VM without interrupt controller or devices, to find out by trying what this KVM does
// with a few ring-0 instructions. Every program is straight-line code or a counted loop, and
// ends in hlt, which without an in-kernel interrupt controller returns to us: no run can hang.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "vmm/kvm/kvm.h"

namespace fmvm {

class ScratchVm {
  public:
    enum class Mode {
        protected32,  // flat, paging off: the cheapest to start and to fail in
        long64,       // paging on, as kernels run
    };
    enum class Outcome {
        completed,  // reached the hlt behind the program
        faulted,    // raised an exception (int3 counts as completed: its handler returns)
        refused,    // KVM tried to emulate it and could not
    };

    static constexpr std::size_t code_size_max = 256;

    static Result<ScratchVm> create(const Kvm& kvm);

    // Without it only what every x86-64 CPU has may be tried.
    Result<void> set_cpuid(std::span<const kvm_cpuid_entry2> entries);
    // Control register 4 of the runs that follow, besides PAE and SSE.
    void set_extra_cr4(std::uint64_t bits) { extra_cr4_ = bits; }

    // Runs code with all registers fresh: rcx as given, rax = 3, rdi at a zeroed, 64-byte aligned
    // scratch area, everything else 0.
    Result<Outcome> run(Mode mode, std::span<const std::uint8_t> code, std::uint64_t rcx = 0);

    // When a program of one instruction was refused: lets fmvm complete it, as it does for guests,
    // and runs on. Still refused when fmvm has no completion for it.
    Result<Outcome> run_on_assisted();

  private:
    struct Unmap {
        std::size_t size;
        void operator()(std::uint8_t* bytes) const;
    };
    using Mapping = std::unique_ptr<std::uint8_t, Unmap>;

    ScratchVm() = default;
    static Result<Mapping> map(std::size_t size, int flags, int fd);
    void write_tables();
    template <typename T>
    void store(std::uint64_t address, T value);
    Result<void> reset_registers(Mode mode, std::uint64_t rcx);
    Result<Outcome> enter_guest();
    Result<Outcome> classify_exit() const;
    const kvm_run& exit() const { return *reinterpret_cast<const kvm_run*>(run_.get()); }

    // Declared so that the vCPU goes before the VM, and the VM before its memory.
    Mapping memory_;
    UniqueFd vm_;
    UniqueFd vcpu_;
    Mapping run_;
    std::uint64_t extra_cr4_ = 0;
};

}  // namespace fmvm
