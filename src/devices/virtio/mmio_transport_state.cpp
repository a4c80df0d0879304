// SPDX-License-Identifier: Apache-2.0
// The state section of a virtio device: the device's description, so that the state is not restored
// into another device; the transport's registers; the queues; the device's own part.
#include <algorithm>
#include <bit>

#include "base/text.h"
#include "devices/virtio/mmio_transport.h"

namespace fmvm {

namespace {

constexpr std::size_t identity_bytes_max = 256;

void write_layout(ByteWriter& out, const QueueLayout& layout) {
    out.u16(layout.size);
    out.flag(layout.ready);
    out.u64(layout.descriptors.value());
    out.u64(layout.available.value());
    out.u64(layout.used.value());
}

QueueLayout read_layout(ByteReader& in) {
    QueueLayout layout;
    layout.size = in.u16();
    layout.ready = in.flag();
    layout.descriptors = GuestAddress(in.u64());
    layout.available = GuestAddress(in.u64());
    layout.used = GuestAddress(in.u64());
    return layout;
}

// The registers tell the rest of Virtqueue::State.
void write_progress(ByteWriter& out, const Virtqueue::State& queue) {
    out.u16(queue.next_available);
    out.u16(queue.next_used);
    out.u16(queue.signalled_used);
    out.flag(queue.signalled_valid);
    out.flag(queue.broken);
}

void read_progress(ByteReader& in, Virtqueue::State& queue) {
    queue.next_available = in.u16();
    queue.next_used = in.u16();
    queue.signalled_used = in.u16();
    queue.signalled_valid = in.flag();
    queue.broken = in.flag();
}

Error malformed() {
    return Error("it is malformed");
}

}  // namespace

void MmioTransport::save(ByteWriter& out) const {
    out.u32(device_.device_id());
    out.u64(device_features_);
    out.blob(device_.config());
    out.text(device_.identity());
    State now = state();
    const bool active = !now.resetting && !device_.queue_states().empty();
    if (now.resetting) now = fresh_state();
    out.u32(now.status);
    out.u32(now.interrupt_status);
    out.u64(now.driver_features);
    out.u32(now.device_features_select);
    out.u32(now.driver_features_select);
    out.u32(now.queue_select);
    out.u32(now.config_generation);
    for (const QueueLayout& layout : now.queues)
        write_layout(out, layout);
    out.flag(active);
    if (!active) return;
    for (const Virtqueue::State& queue : device_.queue_states())
        write_progress(out, queue);
    device_.save(out);
}

// Whether a driver's writes to the registers can have led there.
bool MmioTransport::is_possible(const State& state) const {
    const bool features_ok = (state.status & status_features_ok) != 0;
    if ((state.status & status_driver_ok) != 0 && !features_ok) return false;
    if (features_ok && ((state.driver_features & ~device_features_) != 0 ||
                        (state.driver_features & virtio_f_version_1) == 0)) {
        return false;
    }
    for (std::size_t i = 0; i < state.queues.size(); ++i) {
        const QueueLayout& queue = state.queues[i];
        if (queue.size > queue_sizes_[i] || (queue.size != 0 && !std::has_single_bit(queue.size)) ||
            (queue.ready && queue.size == 0)) {
            return false;
        }
    }
    return true;
}

Result<void> MmioTransport::check_description(ByteReader& in) const {
    const std::uint32_t id = in.u32();
    const std::uint64_t features = in.u64();
    const auto config = in.blob();
    const std::string identity = in.text(identity_bytes_max);
    if (!in.ok()) return malformed();
    const auto other = [this](std::string_view what) {
        return make_error("the guest knows another {}: with {}; give it the one that it had", name_,
                          what);
    };
    if (id != device_.device_id()) return other("another kind");
    const VirtioDevice::Words words = device_.words();
    if (identity != device_.identity())
        return other(fmt::format("the {} '{}'", words.identity, printable_ascii(identity)));
    if (!std::ranges::equal(config, device_.config()))
        return other(fmt::format("another {}", words.config));
    if (features != device_features_) return other("other features (readonly, say)");
    return {};
}

MmioTransport::State MmioTransport::read_registers(ByteReader& in) const {
    State state = fresh_state();
    state.status = in.u32();
    state.interrupt_status = in.u32();
    state.driver_features = in.u64();
    state.device_features_select = in.u32();
    state.driver_features_select = in.u32();
    state.queue_select = in.u32();
    state.config_generation = in.u32();
    for (QueueLayout& layout : state.queues)
        layout = read_layout(in);
    return state;
}

Result<Snapshottable::Apply> MmioTransport::decode(ByteReader& in) {
    FMVM_TRY(check_description(in));
    const State state = read_registers(in);
    const bool active = in.flag();
    if (!in.ok() || !is_possible(state)) return malformed();
    if (!active) {
        if (!in.done()) return malformed();
        return Apply([this, state] { apply_registers(state, Activation::due); });
    }
    if ((state.status & status_driver_ok) == 0) return malformed();
    std::vector<Virtqueue::State> queues = initial_queue_states(state);
    for (Virtqueue::State& queue : queues)
        read_progress(in, queue);
    if (!in.ok()) return malformed();
    Apply apply_device = FMVM_TRY(device_.decode(*this, state.driver_features, queues, in));
    return Apply([this, state, apply_device = std::move(apply_device)] {
        apply_device();
        apply_registers(state, Activation::done);
    });
}

void MmioTransport::apply_registers(State state, Activation activation) {
    const Lock lock(mutex_);
    needs_reset_ = (state.status & status_needs_reset) != 0;
    interrupt_status_ = state.interrupt_status;
    config_generation_ = std::exchange(state.config_generation, 0);
    state.status &= ~status_needs_reset;
    state.interrupt_status = 0;
    state_ = std::move(state);
    // The activation was on its way to the device.
    const bool driver_ok = (state_.status & status_driver_ok) != 0;
    if (driver_ok && activation == Activation::due) activate_device();
    // An edge may have been lost at the cut (IrqLine).
    if (interrupt_status_ != 0) irq_.raise();
}

}  // namespace fmvm
