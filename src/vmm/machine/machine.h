// SPDX-License-Identifier: Apache-2.0
// A whole virtual machine: memory, KVM VM, vCPU threads, buses and the device thread. It owns
// everything a guest consists of and tears it down in an order that drains first. Which devices
// there are is decided by whoever builds it (node/build/machine_builder).
//
// Threads: one controlling thread builds, starts, quiesces and destroys; request_end() may come
// from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/board/bus.h"
#include "vmm/boot/boot_entry.h"
#include "vmm/cpu/cpu_model.h"
#include "vmm/cpu/guest_clock.h"
#include "vmm/cpu/vcpu_state.h"
#include "vmm/cpu/vcpu_thread.h"
#include "vmm/dirty_log/dirty_log.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/vm.h"
#include "vmm/loop/event_loop.h"
#include "vmm/machine/checkpointed_machine.h"
#include "vmm/machine/machine_shape.h"
#include "vmm/machine/state_image.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm {

enum class GuestEnd {
    power_off,    // the guest switched itself off
    reset,        // the guest asked to be reset
    crash,        // triple fault
    unsupported,  // KVM cannot go on with it; Machine::report() says why
    stopped,      // from outside: a signal, the escape key
};

struct MachineConfig {
    std::uint64_t memory_bytes = 0;
    unsigned vcpus = 1;
    bool ring0_emulated = false;
    CpuModel cpu{};
    DirtyLogKind dirty_log = DirtyLogKind::none;
};

// The size that a machine must have for a state image to be restored in it.
struct MachineSize {
    std::uint64_t memory_bytes = 0;
    unsigned vcpus = 0;
};
// Refuses a size that no machine can have.
Result<MachineSize> machine_size(const StateImage& image);
// What the guest's clocks and the host's clock said.
Result<ClockState> saved_clocks(const StateImage& image);

// Many members: each is a part of the machine, and their order is that in which it is torn down.
class Machine : public CheckpointedMachine {
  public:
    static Result<std::unique_ptr<Machine>> create(const Kvm& kvm, const MachineConfig& config);
    ~Machine() override;
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;

    GuestMemory& memory() override { return memory_; }
    const GuestMemory& memory() const { return memory_; }
    const Vm& vm() const { return vm_; }
    // Of a machine that was made with one.
    DirtyLog& dirty_log() {
        FMVM_CHECK(dirty_log_ != nullptr);
        return *dirty_log_;
    }
    Bus& ports() { return ports_; }
    Bus& mmio() { return mmio_; }
    EventLoop& loop() { return loop_; }
    // What it is like from outside; disks and network cards are whoever built it's to describe.
    const MachineShape& shape() const { return shape_; }
    void describe_disk(DiskShape disk) { shape_.disks.push_back(std::move(disk)); }
    void describe_net(const NetShape& net) { shape_.nets.push_back(net); }

    // Keeps a device alive as long as the machine; devices go in reverse order of arrival, after
    // vCPUs and loop have stopped.
    template <typename T>
    T& own(std::unique_ptr<T> device) {
        T& reference = *device;
        devices_.push_back(std::shared_ptr<void>(std::move(device)));
        return reference;
    }

    // Makes the device's state part of the machine's, as the section `name`. The device lives as
    // long as the machine. Devices are restored in the order in which they were added.
    void add_state(std::string name, Snapshottable& device);

    // Sets the boot vCPU to the kernel's entry point. Before start().
    Result<void> prepare_boot(const BootEntry& entry);

    // Called once, on any thread, when the guest ends; by start() when it has already, as a
    // restored one may that had asked for its end. Set before start(). The handler only notifies:
    // vCPUs are stopping by themselves.
    void on_end(std::function<void(GuestEnd)> handler) { end_handler_ = std::move(handler); }

    // Called on a vCPU's thread when it meets a triple fault, before the machine stands because of
    // that; asks for the guest's end. Set before start().
    void on_crash(std::function<void()> handler) { crash_handler_ = std::move(handler); }

    void start();
    // The guest ends, for the first reason given; vCPUs stop, devices go on to finish their work.
    void request_end(GuestEnd reason, const std::string& report = {});
    // Stops vCPUs for good. Afterwards the device thread still runs.
    void halt_vcpus();

    // Stops vCPUs at an instruction boundary, then parks the device thread.
    [[nodiscard]] QuiesceGuard quiesce() { return QuiesceGuard(*this); }

    // The sections are "machine", "vcpu0" and so on, "chips", "clock" and those of the devices.
    Result<StateImage> save() override;
    PageSet unsettled_pages() const override;
    void take_last_requests() override;
    void set_vcpus_first(bool first) override;
    // Puts this machine, which has never started, where the saved one stood. The caller restores
    // RAM, before or after, but before start(). passed: how much later the guest's clocks
    // (kvmclock, TSC) go on. After an error the machine is good for nothing.
    Result<void> restore(const StateImage& image, std::chrono::nanoseconds passed = {});
    // Whether restore() of this state would succeed. It decodes all sections as restore() does, and
    // tries the vCPUs' states on this machine's vCPUs. This machine has never started; restore()
    // may follow. RAM stays as it is. It is cheap enough to be called for every epoch.
    Result<void> check(const StateImage& image);

    // Why the guest ended as `unsupported`. Valid from the end handler on.
    const std::string& report() const { return report_; }

  private:
    Machine(const MachineConfig& config, GuestMemory memory, Vm vm, VcpuStateAccess vcpu_access);
    Result<void> create_dirty_log(const Kvm& kvm);
    Result<void> create_vcpus(const Kvm& kvm);
    void vcpu_ended(VcpuExit exit, const Vcpu& vcpu);
    void stand_still() override;
    void run_on() override;
    void resume_all();
    struct DecodedState;
    Result<void> check_sections(const StateImage& image) const;
    Result<VcpuState> vcpu_state(const StateImage& image, std::size_t id) const;
    Result<DecodedState> decode(const StateImage& image) const;
    Result<void> try_vcpus(std::vector<VcpuState> states);
    Result<void> restore_vcpus(const std::vector<VcpuState>& states);
    Result<void> restore_tscs(const ClockState& clock, const std::vector<VcpuState>& states);

    // Destruction runs from the bottom up; ~Machine has stopped the threads by then.
    MachineConfig config_;
    MachineShape shape_;
    GuestMemory memory_;
    Vm vm_;
    std::unique_ptr<DirtyLog> dirty_log_;
    VcpuStateAccess vcpu_access_;
    Bus ports_;
    Bus mmio_;
    EventLoop loop_;
    std::vector<std::shared_ptr<void>> devices_;
    struct StatefulDevice {
        std::string name;
        Snapshottable* device;
    };
    std::vector<StatefulDevice> stateful_devices_;
    std::vector<std::unique_ptr<VcpuThread>> vcpus_;
    TscBase tsc_base_;
    std::vector<std::vector<kvm_cpuid_entry2>> vcpu_cpuid_;  // what each was given
    std::vector<VcpuState> tried_;  // what check() put into the vCPUs; empty if nothing
    std::function<void(GuestEnd)> end_handler_;
    std::function<void()> crash_handler_ = [this] { request_end(GuestEnd::crash); };
    bool started_ = false;      // controlling thread
    unsigned quiesced_ = 0;     // guards alive; controlling thread
    bool vcpus_first_ = false;  // as asked for
    std::atomic<bool> ended_{false};
    std::optional<GuestEnd> early_end_;  // before start()
    std::string report_;
};

}  // namespace fmvm
