// SPDX-License-Identifier: Apache-2.0
#include "devices/rng_device.h"

#include <sys/random.h>

#include <algorithm>
#include <array>

namespace fmvm {

namespace {

// A device may fill less than it was given (5.4.6.1). These limits bound how long it keeps the
// loop.
constexpr std::uint64_t bytes_per_request_max = 4 * kib;
constexpr unsigned requests_per_turn_max = 16;

}  // namespace

void RngDevice::activate(VirtioTransport& transport, std::uint64_t,
                         const std::vector<Virtqueue::State>& queues) {
    transport_ = &transport;
    if (!queues[0].layout.ready) return;
    queue_ = std::make_unique<Virtqueue>(memory_, queues[0]);
    queue_notified(0);
}

void RngDevice::queue_notified(std::size_t) {
    if (!queue_) return;
    bool any = false;
    for (unsigned i = 0; i < requests_per_turn_max; ++i) {
        std::optional<DescriptorChain> chain = queue_->pop();
        if (!chain) break;
        const std::uint32_t written = fill(*chain);
        queue_->push(std::move(*chain), written);
        any = true;
    }
    if (any && queue_->needs_interrupt()) transport_->interrupt_used();
    if (queue_->enable_notifications()) {
        // More came in while the ring was served. Other devices have their turn first.
        transport_->notify_again(0);
    }
    if (queue_->broken()) transport_->fail_device(queue_->broken_reason());
}

std::uint32_t RngDevice::fill(const DescriptorChain& chain) {
    ChainWriter writer(memory_, chain.writable);
    std::array<std::uint8_t, 256> bytes;
    std::uint64_t left = std::min(total_length(chain.writable), bytes_per_request_max);
    std::uint32_t written = 0;
    while (left != 0) {
        const std::size_t part = std::min<std::uint64_t>(left, bytes.size());
        // Up to 256 bytes are never cut short once the host's pool is ready (getrandom(2)).
        if (::getrandom(bytes.data(), part, 0) != static_cast<ssize_t>(part)) break;
        if (!writer.write({bytes.data(), part})) break;
        left -= part;
        written += static_cast<std::uint32_t>(part);
    }
    return written;
}

Result<Snapshottable::Apply> RngDevice::decode(VirtioTransport& transport, std::uint64_t,
                                               const std::vector<Virtqueue::State>& queues,
                                               ByteReader& in) {
    const Virtqueue::State& queue = queues[0];
    const bool all_returned = queue.broken || queue.next_available == queue.next_used;
    if (!in.done() || !queue.layout.ready || !all_returned)
        return Error("its own part is malformed");
    return Snapshottable::Apply([this, &transport, queue] {
        transport_ = &transport;
        queue_ = std::make_unique<Virtqueue>(memory_, queue);
        transport.notify_again(0);
    });
}

void RngDevice::reset(std::function<void()> done) {
    queue_.reset();
    transport_ = nullptr;
    done();
}

std::vector<Virtqueue::State> RngDevice::queue_states() const {
    if (!queue_) return {};
    return {queue_->state()};
}

}  // namespace fmvm
