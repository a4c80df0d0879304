// SPDX-License-Identifier: Apache-2.0
// The state of a NetDevice: what its driver has been told, and what it has asked for. Chains that
// the device holds are told as not taken yet (net_device.h).
#include "devices/net/net_device.h"

namespace fmvm {

namespace {

constexpr std::uint16_t status_bits = 3;  // link up, announce

// A queue that its driver has not made ready.
bool is_untouched(const Virtqueue::State& queue) {
    return queue.next_available == 0 && queue.next_used == 0 && queue.signalled_used == 0 &&
           !queue.signalled_valid && !queue.broken;
}

}  // namespace

std::vector<Virtqueue::State> NetDevice::queue_states() const {
    std::vector<Virtqueue::State> states(queue_count);
    bool any = false;
    for (std::size_t i = 0; i < queue_count; ++i) {
        if (!queues_[i]) continue;
        states[i] = queues_[i]->state();
        any = true;
    }
    if (!any) return {};
    const auto give_back = [&states](Queue queue, std::size_t count) {
        states[queue].next_available =
            static_cast<std::uint16_t>(states[queue].next_available - count);
    };
    give_back(receive_queue, room_.size());
    give_back(send_queue, sent_.size());
    return states;
}

void NetDevice::save(ByteWriter& out) const {
    out.u16(status_);
    out.u64(offloads_);
    out.u64(position_);
}

Result<Snapshottable::Apply> NetDevice::decode(VirtioTransport& transport,
                                               std::uint64_t driver_features,
                                               const std::vector<Virtqueue::State>& queues,
                                               ByteReader& in) {
    const std::uint16_t status = in.u16();
    const std::uint64_t offloads = in.u64();
    const std::uint64_t position = in.u64();
    bool possible = in.done() && (status & ~status_bits) == 0 &&
                    (offloads & ~(driver_features & guest_offload_features)) == 0;
    bool any = false;
    for (const Virtqueue::State& queue : queues) {
        any |= queue.layout.ready;
        possible &= queue.layout.ready ? queue.broken || queue.next_available == queue.next_used
                                       : is_untouched(queue);
    }
    if (!possible || !any) return Error("its own part is malformed");
    return Snapshottable::Apply(
        [this, &transport, driver_features, queues, status, offloads, position] {
            make_queues(transport, driver_features, queues, DeviceQueue::Begin::restored);
            accept_offloads(offloads);
            status_ = status;
            position_ = position;
            transport.notify_again(send_queue);  // all are looked at
        });
}

}  // namespace fmvm
