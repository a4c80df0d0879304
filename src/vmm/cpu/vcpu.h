// SPDX-License-Identifier: Apache-2.0
// One KVM vCPU: entering the guest and dispatching its exits. It knows ports and MMIO through the
// two buses and nothing of devices. Used by one thread at a time: the builder's before it runs,
// its own VcpuThread's while it runs, the controlling thread's while it is stopped.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "vmm/board/bus.h"
#include "vmm/boot/boot_entry.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/vm.h"

namespace fmvm {

enum class VcpuExit {
    handled,      // an access was carried out, or nothing happened: enter again
    interrupted,  // a kick
    crashed,      // triple fault: the guest wants to be reset by hardware
    unsupported,  // KVM cannot go on with this guest; report() says why
};

class Vcpu {
  public:
    // The VM, buses and memory must outlive the vCPU.
    static Result<Vcpu> create(const Kvm& kvm, const Vm& vm, unsigned id, const Bus& ports,
                               const Bus& mmio, GuestMemory& memory);
    Vcpu(Vcpu&& other) noexcept;
    Vcpu& operator=(Vcpu&&) = delete;
    ~Vcpu();

    Result<void> set_cpuid(std::span<const kvm_cpuid_entry2> entries);
    // Puts the boot vCPU at the kernel's entry point; the others wait for INIT/SIPI.
    Result<void> set_boot_state(const BootEntry& entry);

    // Called within run() when KVM does not go on before this vCPU's dirty ring has been emptied.
    // Set before it first runs.
    void on_full_dirty_ring(std::function<Result<void>()> handler) {
        empty_dirty_ring_ = std::move(handler);
    }

    VcpuExit run();
    // The next run() returns `interrupted` at once, until clear_kick(). Any thread: the flag is
    // read by the kernel, written here with a plain atomic store.
    void kick();
    void clear_kick();

    // What the operator needs after `unsupported`.
    const std::string& report() const { return report_; }

    unsigned id() const { return id_; }
    int fd() const { return fd_.get(); }

  private:
    Vcpu(UniqueFd fd, kvm_run* run, std::size_t run_size, unsigned id, const Bus& ports,
         const Bus& mmio, GuestMemory& memory);
    VcpuExit dispatch();
    void handle_port_access();
    void handle_mmio_access();
    VcpuExit handle_internal_error();
    VcpuExit handle_full_dirty_ring();
    static constexpr std::string_view look_at_host =
        "look into the host's kernel log (dmesg); the same kernel with fewer options may run, or "
        "another "
        "host";
    VcpuExit give_up(const std::string& reason, std::string_view what_to_do = look_at_host);

    UniqueFd fd_;
    kvm_run* run_;
    std::size_t run_size_;
    unsigned id_;
    const Bus& ports_;
    const Bus& mmio_;
    GuestMemory& memory_;
    std::function<Result<void>()> empty_dirty_ring_;
    std::string report_;
};

}  // namespace fmvm
