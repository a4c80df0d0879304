// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/vcpu.h"

#include <sys/ioctl.h>
#include <sys/mman.h>

#include "vmm/cpu/cpuid.h"
#include "vmm/cpu/vcpu_boot.h"
#include "vmm/cpu/vcpu_report.h"
#include "vmm/emulation/emulation_assist.h"

namespace fmvm {

namespace {

constexpr std::string_view no_such_instruction =
    "`fmvm check` lists what this host's KVM refuses in ring 0; use a guest built without it "
    "(docs/guests.md), or a host with hardware virtualisation";

}  // namespace

Result<Vcpu> Vcpu::create(const Kvm& kvm, const Vm& vm, unsigned id, const Bus& ports,
                          const Bus& mmio, GuestMemory& memory) {
    UniqueFd fd = FMVM_TRY(vm.create_vcpu(id));
    const std::size_t size = kvm.vcpu_mmap_size();
    void* run = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (run == MAP_FAILED) return errno_error(errno, "cannot map the vCPU run area");
    return Vcpu(std::move(fd), static_cast<kvm_run*>(run), size, id, ports, mmio, memory);
}

Vcpu::Vcpu(UniqueFd fd, kvm_run* run, std::size_t run_size, unsigned id, const Bus& ports,
           const Bus& mmio, GuestMemory& memory)
    : fd_(std::move(fd)),
      run_(run),
      run_size_(run_size),
      id_(id),
      ports_(ports),
      mmio_(mmio),
      memory_(memory) {}

Vcpu::Vcpu(Vcpu&& other) noexcept
    : fd_(std::move(other.fd_)),
      run_(std::exchange(other.run_, nullptr)),
      run_size_(other.run_size_),
      id_(other.id_),
      ports_(other.ports_),
      mmio_(other.mmio_),
      memory_(other.memory_),
      empty_dirty_ring_(std::move(other.empty_dirty_ring_)),
      report_(std::move(other.report_)) {}

Vcpu::~Vcpu() {
    if (run_ != nullptr) ::munmap(run_, run_size_);
}

Result<void> Vcpu::set_cpuid(std::span<const kvm_cpuid_entry2> entries) {
    return set_vcpu_cpuid(fd(), entries);
}

Result<void> Vcpu::set_boot_state(const BootEntry& entry) {
    return write_boot_registers(fd(), entry);
}

void Vcpu::kick() {
    __atomic_store_n(&run_->immediate_exit, std::uint8_t{1}, __ATOMIC_SEQ_CST);
}

void Vcpu::clear_kick() {
    __atomic_store_n(&run_->immediate_exit, std::uint8_t{0}, __ATOMIC_SEQ_CST);
}

VcpuExit Vcpu::run() {
    if (::ioctl(fd(), KVM_RUN, 0) == 0) return dispatch();
    const int error_number = errno;
    // EAGAIN: a vCPU that waits for INIT/SIPI was woken for something else.
    if (error_number == EINTR || error_number == EAGAIN) return VcpuExit::interrupted;
    return give_up(fmt::format("KVM_RUN failed: {}", std::strerror(error_number)));
}

VcpuExit Vcpu::dispatch() {
    switch (run_->exit_reason) {
        case KVM_EXIT_IO:
            handle_port_access();
            return VcpuExit::handled;
        case KVM_EXIT_MMIO:
            handle_mmio_access();
            return VcpuExit::handled;
        case KVM_EXIT_INTR:
            return VcpuExit::interrupted;
        case KVM_EXIT_SHUTDOWN:
            return VcpuExit::crashed;
        case KVM_EXIT_INTERNAL_ERROR:
            return handle_internal_error();
        case KVM_EXIT_DIRTY_RING_FULL:
            return handle_full_dirty_ring();
        case KVM_EXIT_FAIL_ENTRY:
            return give_up(fmt::format("the CPU refused to enter the guest (reason {:#x})",
                                       run_->fail_entry.hardware_entry_failure_reason));
        default:
            return give_up(
                fmt::format("KVM exit {} is not one that fmvm asked for", run_->exit_reason));
    }
}

void Vcpu::handle_port_access() {
    const auto& io = run_->io;
    auto* data = reinterpret_cast<std::uint8_t*>(run_) + io.data_offset;
    for (std::uint32_t i = 0; i < io.count; ++i, data += io.size) {
        if (io.direction == KVM_EXIT_IO_IN) {
            ports_.read(io.port, {data, io.size});
        } else {
            ports_.write(io.port, {data, io.size});
        }
    }
}

void Vcpu::handle_mmio_access() {
    auto& access = run_->mmio;
    if (access.is_write != 0) {
        mmio_.write(access.phys_addr, {access.data, access.len});
    } else {
        mmio_.read(access.phys_addr, {access.data, access.len});
    }
}

VcpuExit Vcpu::handle_internal_error() {
    const auto& failure = run_->emulation_failure;
    constexpr std::uint64_t has_bytes = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
    if (failure.suberror != KVM_INTERNAL_ERROR_EMULATION) {
        return give_up(fmt::format("KVM internal error {}", failure.suberror));
    }
    if (failure.ndata == 0 || (failure.flags & has_bytes) == 0) {
        return give_up("KVM could not emulate an instruction and does not say which",
                       no_such_instruction);
    }
    const std::size_t size = std::min<std::size_t>(failure.insn_size, sizeof failure.insn_bytes);
    const std::span<const std::uint8_t> bytes(failure.insn_bytes, size);
    KvmAssistCpu cpu(fd(), &memory_);
    if (complete_instruction(bytes, cpu)) return VcpuExit::handled;
    return give_up(fmt::format("KVM cannot emulate the instruction {}", hex_bytes(bytes)),
                   no_such_instruction);
}

VcpuExit Vcpu::handle_full_dirty_ring() {
    const Result<void> emptied = empty_dirty_ring_();
    if (!emptied.ok()) return give_up(emptied.error().message());
    return VcpuExit::handled;
}

VcpuExit Vcpu::give_up(const std::string& reason, std::string_view what_to_do) {
    report_ = fmt::format("{}\n  what to do: {}", describe_vcpu(fd(), id_, reason), what_to_do);
    return VcpuExit::unsupported;
}

}  // namespace fmvm
