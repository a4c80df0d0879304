// SPDX-License-Identifier: Apache-2.0
// A queue as a device serves it: a Virtqueue, and what it has told its driver.
//
// The device asks for notifications only before it sleeps, and asks the driver whether it wants an
// interrupt once for all that was returned in one turn. Threads: the loop thread only.
#pragma once

#include <optional>

#include "devices/virtio/virtio_device.h"

namespace fmvm {

class DeviceQueue {
  public:
    // A queue whose driver knows nothing, or one that this device goes on with.
    enum class Begin { fresh, restored };
    DeviceQueue(GuestMemory& memory, const Virtqueue::State& state, Begin begin)
        : queue_(memory, state), returned_any_(begin == Begin::restored) {}

    const Virtqueue::State& state() const { return queue_.state(); }
    bool has_available() { return queue_.has_available(); }
    void fail(const char* reason) { queue_.fail(reason); }

    DescriptorChain take_back(std::uint16_t head) { return queue_.take_back(head); }
    std::optional<DescriptorChain> pop() {
        if (!queue_.has_available()) return std::nullopt;
        silence();
        return queue_.pop();
    }
    // Asks for no notifications. A queue that its driver was told nothing of is silenced by this.
    void silence() {
        if (!std::exchange(notifications_on_, false)) return;
        queue_.disable_notifications();
    }
    void push(DescriptorChain chain, std::uint32_t written) {
        queue_.push(std::move(chain), written);
        returned_any_ = true;
    }

    // The end of a turn: the interrupt that the driver wants, and what broke the queue.
    void settle(VirtioTransport& transport) {
        if (std::exchange(returned_any_, false) && queue_.needs_interrupt())
            transport.interrupt_used();
        if (queue_.broken()) transport.fail_device(queue_.broken_reason());
    }
    // The driver is to notify from now on. True if something has come in meanwhile.
    bool ask_for_notifications(VirtioTransport& transport) {
        if (std::exchange(notifications_on_, true)) return false;
        const bool more = queue_.enable_notifications();
        if (queue_.broken()) transport.fail_device(queue_.broken_reason());
        return more;
    }

  private:
    Virtqueue queue_;
    // Nobody knows what a device before this one asked for, so it is written anew.
    bool notifications_on_ = false;
    bool returned_any_;
};

}  // namespace fmvm
