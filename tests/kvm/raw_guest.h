// SPDX-License-Identifier: Apache-2.0
// A few bytes of 32-bit machine code as a guest: entered at code_address as PVH enters a kernel
// (flat segments, no paging, interrupts off).
#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/units.h"
#include "vmm/board/layout.h"
#include "vmm/cpu/vcpu_boot.h"
#include "vmm/cpu/vcpu_thread.h"

namespace fmvm::test {

inline constexpr GuestAddress code_address{0x100000};

template <typename T>
T require(Result<T> result) {
    if (!result.ok()) FAIL(result.error().message());
    return std::move(result).value();
}
inline void require(const Result<void>& result) {
    if (!result.ok()) FAIL(result.error().message());
}

// The pieces of a machine without its devices.
struct RawGuest {
    // before_vcpus: what must be done to the VM while it has none.
    explicit RawGuest(
        const std::vector<std::uint8_t>& code, unsigned vcpus = 1,
        const std::function<void(RawGuest&)>& before_vcpus = [](RawGuest&) {})
        : kvm(require(Kvm::open())),
          memory(require(GuestMemory::allocate(layout::ram_ranges(layout::memory_size_min)))),
          vm(require(Vm::create(kvm, memory))) {
        before_vcpus(*this);
        REQUIRE(memory.write(code_address, code));
        const BootEntry entry{BootProtocol::pvh, code_address, GuestAddress(0)};
        require(write_boot_tables(memory, entry));
        for (unsigned id = 0; id < vcpus; ++id) {
            Vcpu vcpu = require(Vcpu::create(kvm, vm, id, ports, mmio, memory));
            require(vcpu.set_cpuid(require(kvm.supported_cpuid())));
            if (id == 0) require(vcpu.set_boot_state(entry));
            vcpus_.push_back(std::move(vcpu));
        }
    }
    Vcpu take_vcpu() {
        Vcpu vcpu = std::move(vcpus_.back());
        vcpus_.pop_back();
        return vcpu;
    }

    Kvm kvm;
    GuestMemory memory;
    Vm vm;
    Bus ports;
    Bus mmio;

  private:
    std::vector<Vcpu> vcpus_;
};

inline kvm_regs registers(const Vcpu& vcpu) {
    kvm_regs regs{};
    REQUIRE(retry_ioctl(vcpu.fd(), KVM_GET_REGS, &regs) == 0);
    return regs;
}

}  // namespace fmvm::test
