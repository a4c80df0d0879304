// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/mmio_transport.h"

#include <algorithm>
#include <bit>

#include "base/little_endian.h"
#include "base/log.h"

namespace fmvm {

namespace {

// virtio 1.2, table 4.1.
enum Register : std::uint64_t {
    magic_value = 0x000,
    version = 0x004,
    device_id = 0x008,
    vendor_id = 0x00c,
    device_features = 0x010,
    device_features_sel = 0x014,
    driver_features = 0x020,
    driver_features_sel = 0x024,
    queue_sel = 0x030,
    queue_num_max = 0x034,
    queue_num = 0x038,
    queue_ready = 0x044,
    queue_notify = 0x050,
    interrupt_status = 0x060,
    interrupt_ack = 0x064,
    status = 0x070,
    queue_desc_low = 0x080,
    queue_desc_high = 0x084,
    queue_driver_low = 0x090,
    queue_driver_high = 0x094,
    queue_device_low = 0x0a0,
    queue_device_high = 0x0a4,
    shm_len_low = 0x0b0,
    shm_base_high = 0x0bc,
    config_generation = 0x0fc,  // 2.5.1: tells the driver that what it read belongs together
    config_space = 0x100,
};

constexpr std::uint32_t magic = 0x74726976;   // "virt"
constexpr std::uint32_t vendor = 0x6d766d66;  // "fmvm"

constexpr std::uint32_t cause_used = 1;
constexpr std::uint32_t cause_config = 2;

constexpr std::chrono::milliseconds reset_wait_max{2000};

// A guest can misbehave as often as it likes; the log must not grow with it.
constexpr int reports_max = 8;

void set_low(GuestAddress& address, std::uint32_t value) {
    address = GuestAddress((address.value() & ~0xffffffffULL) | value);
}

void set_high(GuestAddress& address, std::uint32_t value) {
    address = GuestAddress((address.value() & 0xffffffffULL) | std::uint64_t{value} << 32);
}

}  // namespace

MmioTransport::MmioTransport(std::string name, EventLoop& loop, VirtioDevice& device, IrqLine& irq)
    : name_(std::move(name)),
      loop_(loop),
      device_(device),
      irq_(irq),
      device_features_(device.features()),
      queue_sizes_(device.queue_sizes()) {
    state_ = fresh_state();
}

MmioTransport::~MmioTransport() = default;

Result<std::unique_ptr<MmioTransport>> MmioTransport::create(std::string name, EventLoop& loop,
                                                             VirtioDevice& device, IrqLine& irq) {
    std::unique_ptr<MmioTransport> transport(new MmioTransport(std::move(name), loop, device, irq));
    for (std::size_t i = 0; i < transport->queue_sizes_.size(); ++i) {
        transport->notifiers_.push_back(std::make_unique<EventWatch>(
            loop, FMVM_TRY(create_eventfd()), [&device, i] { device.queue_notified(i); }));
    }
    return transport;
}

Result<void> MmioTransport::connect_notifications(const Vm& vm, GuestAddress base) const {
    for (std::size_t i = 0; i < notifiers_.size(); ++i) {
        FMVM_TRY(vm.add_ioeventfd(base + queue_notify, static_cast<std::uint32_t>(i),
                                  notifiers_[i]->fd()));
    }
    return {};
}

MmioTransport::State MmioTransport::state() const {
    const Lock lock(mutex_);
    State copy = state_;
    copy.interrupt_status = interrupt_status_;
    copy.config_generation = config_generation_;
    copy.resetting = resetting_;
    if (needs_reset_) copy.status |= status_needs_reset;
    return copy;
}

void MmioTransport::read(std::uint64_t offset, std::span<std::uint8_t> data) {
    std::fill(data.begin(), data.end(), std::uint8_t{0});
    if (offset >= config_space) {
        device_.read_config(offset - config_space, data);
        return;
    }
    // 4.2.2.2: drivers use aligned 32-bit accesses here; anything else reads as zero.
    if (data.size() != 4 || offset % 4 != 0) return;
    const Lock lock(mutex_);
    store_le(data, 0, read_register(offset));
}

const QueueLayout* MmioTransport::selected_queue() const {
    return state_.queue_select < state_.queues.size() ? &state_.queues[state_.queue_select]
                                                      : nullptr;
}

std::uint32_t MmioTransport::read_register(std::uint64_t offset) const {
    const QueueLayout* queue = selected_queue();
    switch (offset) {
        case magic_value:
            return magic;
        case version:
            return 2;
        case device_id:
            return device_.device_id();
        case vendor_id:
            return vendor;
        case device_features:
            return state_.device_features_select < 2
                       ? static_cast<std::uint32_t>(device_features_ >>
                                                    (32 * state_.device_features_select))
                       : 0;
        case queue_num_max:
            return queue != nullptr ? queue_sizes_[state_.queue_select] : 0;
        case queue_ready:
            return queue != nullptr && queue->ready ? 1 : 0;
        case interrupt_status:
            return interrupt_status_;
        case status:
            return state_.status | (needs_reset_ ? status_needs_reset : 0);
        case config_generation:
            return config_generation_;
        default:
            // No shared memory: its length and base read as all ones (4.2.2).
            return offset >= shm_len_low && offset <= shm_base_high ? 0xffffffff : 0;
    }
}

void MmioTransport::write(std::uint64_t offset, std::span<const std::uint8_t> data) {
    // No device of ours has writable configuration (4.2.2.2 for the access size).
    if (data.size() != 4 || offset % 4 != 0 || offset >= config_space) return;
    const auto value = load_le<std::uint32_t>(data);
    const Lock lock(mutex_);
    if (resetting_) return;
    if (offset == status && value == 0) {
        reset_device();
    } else {
        write_register(offset, value);
    }
}

void MmioTransport::write_register(std::uint64_t offset, std::uint32_t value) {
    switch (offset) {
        case device_features_sel:
            state_.device_features_select = value;
            break;
        case driver_features_sel:
            state_.driver_features_select = value;
            break;
        case driver_features:
            if ((state_.status & status_features_ok) != 0 || state_.driver_features_select > 1)
                break;
            if (state_.driver_features_select == 0) {
                state_.driver_features = (state_.driver_features & ~0xffffffffULL) | value;
            } else {
                state_.driver_features =
                    (state_.driver_features & 0xffffffffULL) | std::uint64_t{value} << 32;
            }
            break;
        case queue_sel:
            state_.queue_select = value;
            break;
        case queue_notify:
            // Only accesses that KVM's ioeventfd did not match come here.
            if (value < notifiers_.size()) notifiers_[value]->signal();
            break;
        case interrupt_ack:
            interrupt_status_ &= ~value;
            break;
        case status:
            write_status(value);
            break;
        default:
            write_queue_register(offset, value);
            break;
    }
}

void MmioTransport::write_queue_register(std::uint64_t offset, std::uint32_t value) {
    if (selected_queue() == nullptr || (state_.status & status_driver_ok) != 0) return;
    QueueLayout& queue = state_.queues[state_.queue_select];
    if (offset == queue_ready) {
        queue.ready = value == 1 && queue.size != 0;
        return;
    }
    if (queue.ready) return;  // 4.2.3.2: the layout is fixed while the queue is ready
    switch (offset) {
        case queue_num:
            if (value <= queue_sizes_[state_.queue_select] && std::has_single_bit(value)) {
                queue.size = static_cast<std::uint16_t>(value);
            }
            break;
        case queue_desc_low:
            set_low(queue.descriptors, value);
            break;
        case queue_desc_high:
            set_high(queue.descriptors, value);
            break;
        case queue_driver_low:
            set_low(queue.available, value);
            break;
        case queue_driver_high:
            set_high(queue.available, value);
            break;
        case queue_device_low:
            set_low(queue.used, value);
            break;
        case queue_device_high:
            set_high(queue.used, value);
            break;
        default:
            break;
    }
}

void MmioTransport::write_status(std::uint32_t value) {
    // 2.1.1: the driver only ever adds bits; the needs-reset bit is ours.
    std::uint32_t added = value & ~state_.status & ~status_needs_reset;
    if ((added & status_features_ok) != 0) {
        const bool acceptable = (state_.driver_features & ~device_features_) == 0 &&
                                (state_.driver_features & virtio_f_version_1) != 0;
        if (!acceptable) added &= ~status_features_ok;  // 2.2.2: the driver reads it back
    }
    const bool features_ok = ((state_.status | added) & status_features_ok) != 0;
    if ((added & status_driver_ok) != 0 && !features_ok) added &= ~status_driver_ok;
    state_.status |= added;
    if ((added & status_driver_ok) != 0) activate_device();
}

MmioTransport::State MmioTransport::fresh_state() const {
    State state;
    state.queues.resize(queue_sizes_.size());
    return state;
}

std::vector<Virtqueue::State> MmioTransport::initial_queue_states(const State& state) const {
    std::vector<Virtqueue::State> queues(state.queues.size());
    for (std::size_t i = 0; i < queues.size(); ++i) {
        queues[i].layout = state.queues[i];
        queues[i].event_index = (state.driver_features & virtio_f_event_idx) != 0;
        queues[i].indirect = (state.driver_features & virtio_f_indirect_desc) != 0;
    }
    return queues;
}

void MmioTransport::activate_device() {
    loop_.post([this, queues = initial_queue_states(state_), features = state_.driver_features] {
        device_.activate(*this, features, queues);
    });
}

void MmioTransport::reset_device() {
    resetting_ = true;
    loop_.post([this] { device_.reset([this] { finish_reset(); }); });
    const auto deadline = std::chrono::steady_clock::now() + reset_wait_max;
    while (resetting_ && reset_finished_.wait_until(mutex_, deadline)) {
    }
    // Status reads non-zero until the device has let go (2.4.2); careful drivers look.
    if (resetting_ && reset_reports_++ < reports_max) {
        log::warning("virtio", "{}: a reset waits for disk I/O that takes longer than {} ms", name_,
                     reset_wait_max.count());
    }
}

void MmioTransport::finish_reset() {
    const Lock lock(mutex_);
    state_ = fresh_state();
    interrupt_status_ = 0;
    config_generation_ = 0;
    needs_reset_ = false;
    resetting_ = false;
    reset_finished_.notify_all();
}

void MmioTransport::signal(std::uint32_t cause) {
    interrupt_status_ |= cause;
    irq_.raise();
}

void MmioTransport::interrupt_used() {
    signal(cause_used);
}

void MmioTransport::config_changed() {
    ++config_generation_;
    signal(cause_config);
}

void MmioTransport::notify_again(std::size_t index) {
    notifiers_[index]->signal();
}

void MmioTransport::fail_device(const char* reason) {
    if (needs_reset_.exchange(true)) return;
    if (failure_reports_++ < reports_max) {
        log::warning("virtio", "{}: stopped until the guest resets it: {}", name_, reason);
    }
    signal(cause_config);
}

}  // namespace fmvm
