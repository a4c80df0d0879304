// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/machine.h"

#include "base/thread_priority.h"
#include "vmm/board/layout.h"
#include "vmm/cpu/cpuid.h"
#include "vmm/cpu/vcpu_boot.h"
#include "vmm/dirty_log/ring_dirty_log.h"

namespace fmvm {

Result<std::unique_ptr<Machine>> Machine::create(const Kvm& kvm, const MachineConfig& config) {
    GuestMemory memory = FMVM_TRY(GuestMemory::allocate(layout::ram_ranges(config.memory_bytes)));
    Vm vm = FMVM_TRY(Vm::create(kvm, memory));
    VcpuStateAccess vcpu_access = FMVM_TRY(VcpuStateAccess::create(kvm, vm));
    std::unique_ptr<Machine> machine(
        new Machine(config, std::move(memory), std::move(vm), std::move(vcpu_access)));
    FMVM_TRY(machine->create_dirty_log(kvm));
    FMVM_TRY(machine->create_vcpus(kvm));
    return machine;
}

Machine::Machine(const MachineConfig& config, GuestMemory memory, Vm vm,
                 VcpuStateAccess vcpu_access)
    : config_(config),
      memory_(std::move(memory)),
      vm_(std::move(vm)),
      vcpu_access_(std::move(vcpu_access)) {
    shape_.memory_bytes = config.memory_bytes;
    shape_.vcpus = config.vcpus;
}

Machine::~Machine() {
    halt_vcpus();
    loop_.stop();
    vcpus_.clear();
    while (!devices_.empty())
        devices_.pop_back();
}

// KVM makes a vCPU's ring with the vCPU.
Result<void> Machine::create_dirty_log(const Kvm& kvm) {
    switch (config_.dirty_log) {
        case DirtyLogKind::none:
            break;
        case DirtyLogKind::bitmap:
            dirty_log_ = FMVM_TRY(create_bitmap_dirty_log(kvm, vm_, memory_));
            break;
        case DirtyLogKind::ring:
            dirty_log_ = FMVM_TRY(create_ring_dirty_log(kvm, vm_, memory_));
            break;
    }
    return {};
}

Result<void> Machine::create_vcpus(const Kvm& kvm) {
    const std::vector<kvm_cpuid_entry2> supported = FMVM_TRY(kvm.supported_cpuid());
    CpuidPolicy policy;
    policy.vcpu_count = config_.vcpus;
    policy.tsc_deadline = kvm.extension(KVM_CAP_TSC_DEADLINE_TIMER) != 0;
    policy.ring0_emulated = config_.ring0_emulated;
    policy.model = config_.cpu;
    for (unsigned id = 0; id < config_.vcpus; ++id) {
        Vcpu vcpu = FMVM_TRY(Vcpu::create(kvm, vm_, id, ports_, mmio_, memory_));
        if (dirty_log_) FMVM_TRY(dirty_log_->add_vcpu(vcpu));
        policy.vcpu_id = id;
        std::vector<kvm_cpuid_entry2> cpuid = apply_cpuid_policy(supported, policy);
        FMVM_TRY(vcpu.set_cpuid(cpuid));
        if (id == 0) {
            tsc_base_ = FMVM_TRY(first_tsc_base(vm_));
            shape_.cpuid = cpuid;
            FMVM_TRY(vcpu_access_.probe(vcpu.fd()));
        }
        vcpu_cpuid_.push_back(std::move(cpuid));
        vcpus_.push_back(std::make_unique<VcpuThread>(
            std::move(vcpu),
            [this](VcpuExit exit, const Vcpu& ended) { vcpu_ended(exit, ended); }));
    }
    return {};
}

Result<void> Machine::prepare_boot(const BootEntry& entry) {
    FMVM_TRY(write_boot_tables(memory_, entry));
    return vcpus_.front()->vcpu().set_boot_state(entry);
}

void Machine::start() {
    started_ = true;
    if (early_end_ && end_handler_) end_handler_(*early_end_);
    loop_.start();
    resume_all();
}

void Machine::vcpu_ended(VcpuExit exit, const Vcpu& vcpu) {
    if (exit == VcpuExit::crashed) {
        crash_handler_();
    } else {
        request_end(GuestEnd::unsupported, vcpu.report());
    }
}

void Machine::request_end(GuestEnd reason, const std::string& report) {
    if (ended_.exchange(true)) return;
    report_ = report;
    for (const auto& vcpu : vcpus_)
        vcpu->request_stop();
    if (!started_) {
        early_end_ = reason;
    } else if (end_handler_) {
        end_handler_(reason);
    }
}

void Machine::halt_vcpus() {
    ended_ = true;
    for (const auto& vcpu : vcpus_)
        vcpu->request_stop();
    for (const auto& vcpu : vcpus_)
        vcpu->finish();
}

void Machine::stand_still() {
    for (const auto& vcpu : vcpus_)
        vcpu->request_stop();
    for (const auto& vcpu : vcpus_)
        vcpu->wait_stopped();
    loop_.quiesce();
    ++quiesced_;
}

void Machine::take_last_requests() {
    for (const auto& vcpu : vcpus_)
        vcpu->wait_stopped();
    loop_.poll_once();
}

// Where every CPU has a vCPU, those would leave others a quarter of one.
void Machine::set_vcpus_first(bool first) {
    if (std::exchange(vcpus_first_, first) == first) return;
    const bool spare = usable_cpus() > vcpus_.size();
    for (const auto& vcpu : vcpus_)
        vcpu->set_first(first && spare);
}

void Machine::run_on() {
    --quiesced_;
    loop_.resume();
    resume_all();
}

void Machine::resume_all() {
    if (!started_ || ended_) return;
    for (const auto& vcpu : vcpus_)
        FMVM_CHECK(vcpu->resume());
    // An end requested between the look above and the resumption found vCPUs standing.
    if (ended_) {
        for (const auto& vcpu : vcpus_)
            vcpu->request_stop();
    }
}

}  // namespace fmvm
