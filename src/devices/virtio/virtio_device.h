// SPDX-License-Identifier: Apache-2.0
// The interfaces between a virtio device and its transport (virtio 1.2).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/byte_codec.h"
#include "base/result.h"
#include "devices/virtio/virtqueue.h"
#include "vmm/machine/state_image.h"

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
    // What read_config() gives has changed: the driver is told to read it again.
    virtual void config_changed() = 0;
    // Notifies queue `index` as the driver would, after the loop's other work.
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
    // Also part of what a state must fit. Of a field that changes, this has the value 0.
    virtual std::span<const std::uint8_t> config() const = 0;
    // What else a driver knows the device by, such as a disk's serial.
    virtual std::string_view identity() const { return {}; }
    // For people: what identity() and config() are about.
    struct Words {
        std::string_view identity;
        std::string_view config;
    };
    virtual Words words() const { return {"serial", "size or block size"}; }

    // vCPU threads: the configuration as it is now; bytes behind its end stay as they are. A device
    // with a field that changes overrides it.
    virtual void read_config(std::uint64_t offset, std::span<std::uint8_t> data) const {
        const std::span<const std::uint8_t> bytes = config();
        for (std::size_t i = 0; i < data.size() && offset + i < bytes.size(); ++i)
            data[i] = bytes[offset + i];
    }

    // Loop thread. The driver is ready. There is one state per queue, including those not ready.
    // The device looks at every queue at once, because notifications may have come earlier.
    virtual void activate(VirtioTransport& transport, std::uint64_t driver_features,
                          const std::vector<Virtqueue::State>& queues) = 0;
    // Loop thread. Only while active.
    virtual void queue_notified(std::size_t index) = 0;
    // Loop thread. Stops using the queues, waits for I/O that touches guest memory, forgets the
    // driver, then calls `done` on the loop thread. Also called when the device was never active.
    virtual void reset(std::function<void()> done) = 0;
    // While the loop stands: the queues as they are. Empty if the device is not active.
    virtual std::vector<Virtqueue::State> queue_states() const = 0;

    // While the loop stands: what the device knows besides its queues, such as requests in flight.
    virtual void save(ByteWriter& out) const = 0;
    // While the loop stands: as Snapshottable::add_unsettled().
    virtual void add_unsettled(PageSet&) const {}
    // Decodes what save() of an active device wrote and checks all of it, as
    // Snapshottable::decode() does. What it returns activates this device where that one stopped.
    // `queues` fit the device's description and the transport's registers. Called before the loop
    // runs, on a device that was never active. Guest memory may not be in place yet: work begins
    // when the loop runs. The transport outlives the result.
    virtual Result<Snapshottable::Apply> decode(VirtioTransport& transport,
                                                std::uint64_t driver_features,
                                                const std::vector<Virtqueue::State>& queues,
                                                ByteReader& in) = 0;
};

}  // namespace fmvm
