// SPDX-License-Identifier: Apache-2.0
// What a virtio device is to its transport, and the transport to the device (virtio 1.2).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/byte_codec.h"
#include "base/result.h"
#include "devices/virtio/virtqueue.h"

namespace fmvm {

// Feature bits that belong to every device (virtio 1.2, 6).
inline constexpr std::uint64_t virtio_f_indirect_desc = 1ULL << 28;
inline constexpr std::uint64_t virtio_f_event_idx = 1ULL << 29;
inline constexpr std::uint64_t virtio_f_version_1 = 1ULL << 32;

// The way back to the driver. Loop thread.
class VirtioTransport {
  public:
    virtual ~VirtioTransport() = default;
    virtual void interrupt_used() = 0;
    // As if the driver had notified queue `index` once more, after other work of the loop.
    virtual void notify_again(std::size_t index) = 0;
    // The driver broke the rules: sets DEVICE_NEEDS_RESET (2.1.2), tells the driver, logs once.
    virtual void fail_device(const char* reason) = 0;
};

class VirtioDevice {
  public:
    virtual ~VirtioDevice() = default;

    // Constant for the life of the device; read on vCPU threads.
    virtual std::uint32_t device_id() const = 0;  // virtio 1.2, 5
    virtual std::uint64_t features() const = 0;   // offered, the general ones included
    virtual std::vector<std::uint16_t> queue_sizes() const = 0;
    virtual std::span<const std::uint8_t> config() const = 0;
    // What else a driver knows the device by (a disk's serial).
    virtual std::string_view identity() const { return {}; }

    // Loop thread. The driver is ready: one state per queue, those not ready included. The device
    // looks at every queue at once, since notifications may have come earlier.
    virtual void activate(VirtioTransport& transport, std::uint64_t driver_features,
                          const std::vector<Virtqueue::State>& queues) = 0;
    // Loop thread. Only while active.
    virtual void queue_notified(std::size_t index) = 0;
    // Loop thread. Stops using the queues, waits for I/O that touches guest memory, forgets the
    // driver, then calls `done` on the loop thread. Also called when it was never active.
    virtual void reset(std::function<void()> done) = 0;
    // While the loop stands: the queues as they are, empty when not active.
    virtual std::vector<Virtqueue::State> queue_states() const = 0;

    // While the loop stands: what the device knows beside its queues, requests in flight above
    // all.
    virtual void save(ByteWriter& out) const = 0;
    // While the loop stands: as Snapshottable::add_unsettled().
    virtual void add_unsettled(PageSet&) const {}
    // Like activate(), for a device that goes on where another one, active then, stopped. Called
    // before the loop runs, on a device that was never active; `queues` fit its description and
    // the registers of the transport. Reads all of `in`, which anybody may have written, and takes
    // nothing before all was checked. Guest memory may not be in place yet: work begins when the
    // loop runs.
    virtual Result<void> restore(VirtioTransport& transport, std::uint64_t driver_features,
                                 const std::vector<Virtqueue::State>& queues, ByteReader& in) = 0;
};

}  // namespace fmvm
