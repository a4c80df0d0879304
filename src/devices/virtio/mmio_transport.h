// SPDX-License-Identifier: Apache-2.0
// virtio over MMIO, version 2 (virtio 1.2, 4.2): the registers of one device.
//
// Threads: vCPU threads access the registers and touch nothing else; a mutex guards them. The
// device itself lives on the loop thread. Queue notifications go straight from KVM to the loop
// through eventfds. A reset waits, for a limited time, until the device has let go of guest memory:
// drivers reuse their buffers as soon as the write to Status returns.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "devices/virtio/virtio_device.h"
#include "vmm/board/device.h"
#include "vmm/kvm/vm.h"
#include "vmm/loop/event_loop.h"
#include "vmm/machine/state_image.h"

namespace fmvm {

class MmioTransport : public BusDevice, public VirtioTransport, public Snapshottable {
  public:
    struct State {
        std::uint32_t status = 0;
        std::uint32_t interrupt_status = 0;
        std::uint64_t driver_features = 0;
        std::uint32_t device_features_select = 0;
        std::uint32_t driver_features_select = 0;
        std::uint32_t queue_select = 0;
        std::uint32_t config_generation = 0;
        bool resetting = false;  // the driver asked for a reset that waits for I/O
        std::vector<QueueLayout> queues;
    };

    // Loop, device and line must outlive the transport. `name` is for the log.
    static Result<std::unique_ptr<MmioTransport>> create(std::string name, EventLoop& loop,
                                                         VirtioDevice& device, IrqLine& irq);
    ~MmioTransport() override;

    // Lets KVM signal queue notifications for the registers at `base` without an exit.
    Result<void> connect_notifications(const Vm& vm, GuestAddress base) const;

    void read(std::uint64_t offset, std::span<std::uint8_t> data) override;
    void write(std::uint64_t offset, std::span<const std::uint8_t> data) override;

    void interrupt_used() override;
    void config_changed() override;
    void notify_again(std::size_t index) override;
    void fail_device(const char* reason) override;

    State state() const;

    // The state is that of the transport and its device. A reset that waits for I/O is saved as a
    // completed one: the device that goes on has no such I/O.
    std::uint32_t state_version() const override { return 2; }
    void save(ByteWriter& out) const override;
    Result<Apply> decode(ByteReader& in) override;
    void add_unsettled(PageSet& pages) const override { device_.add_unsettled(pages); }

  private:
    // virtio 1.2, 2.1
    static constexpr std::uint32_t status_features_ok = 8;
    static constexpr std::uint32_t status_driver_ok = 4;
    static constexpr std::uint32_t status_needs_reset = 64;

    MmioTransport(std::string name, EventLoop& loop, VirtioDevice& device, IrqLine& irq);
    std::uint32_t read_register(std::uint64_t offset) const FMVM_REQUIRES(mutex_);
    void write_register(std::uint64_t offset, std::uint32_t value) FMVM_REQUIRES(mutex_);
    void write_queue_register(std::uint64_t offset, std::uint32_t value) FMVM_REQUIRES(mutex_);
    void write_status(std::uint32_t value) FMVM_REQUIRES(mutex_);
    void activate_device() FMVM_REQUIRES(mutex_);
    void reset_device() FMVM_REQUIRES(mutex_);
    void finish_reset();
    void signal(std::uint32_t cause);
    const QueueLayout* selected_queue() const FMVM_REQUIRES(mutex_);
    State fresh_state() const;
    std::vector<Virtqueue::State> initial_queue_states(const State& state) const;
    bool is_possible(const State& state) const;
    Result<void> check_description(ByteReader& in) const;
    State read_registers(ByteReader& in) const;
    // Of the device, when the driver is ready.
    enum class Activation { done, due };
    void apply_registers(State state, Activation activation);

    const std::string name_;
    EventLoop& loop_;
    VirtioDevice& device_;
    IrqLine& irq_;
    const std::uint64_t device_features_;
    const std::vector<std::uint16_t> queue_sizes_;
    std::vector<std::unique_ptr<EventWatch>> notifiers_;  // one per queue

    mutable Mutex mutex_;
    Condition reset_finished_;
    bool resetting_ FMVM_GUARDED_BY(mutex_) = false;
    // All but interrupt_status, config_generation and the needs-reset bit, which both threads
    // change.
    State state_ FMVM_GUARDED_BY(mutex_);
    std::atomic<std::uint32_t> interrupt_status_{0};
    std::atomic<std::uint32_t> config_generation_{0};
    std::atomic<bool> needs_reset_{false};
    int failure_reports_ = 0;  // loop thread
    int reset_reports_ FMVM_GUARDED_BY(mutex_) = 0;
};

}  // namespace fmvm
