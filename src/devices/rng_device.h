// SPDX-License-Identifier: Apache-2.0
// virtio-rng (virtio 1.2, 5.4): random bytes from the host's getrandom(2). Loop thread.
#pragma once

#include <memory>

#include "devices/virtio/virtio_device.h"

namespace fmvm {

class RngDevice : public VirtioDevice {
  public:
    explicit RngDevice(GuestMemory& memory) : memory_(memory) {}

    std::uint32_t device_id() const override { return 4; }
    std::uint64_t features() const override {
        return virtio_f_version_1 | virtio_f_indirect_desc | virtio_f_event_idx;
    }
    std::vector<std::uint16_t> queue_sizes() const override { return {64}; }
    std::span<const std::uint8_t> config() const override { return {}; }
    void activate(VirtioTransport& transport, std::uint64_t driver_features,
                  const std::vector<Virtqueue::State>& queues) override;
    void queue_notified(std::size_t index) override;
    void reset(std::function<void()> done) override;
    std::vector<Virtqueue::State> queue_states() const override;
    void save(ByteWriter&) const override {}  // no request outlives the handler that took it
    Result<Snapshottable::Apply> decode(VirtioTransport& transport, std::uint64_t driver_features,
                                        const std::vector<Virtqueue::State>& queues,
                                        ByteReader& in) override;

  private:
    std::uint32_t fill(const DescriptorChain& chain);

    GuestMemory& memory_;
    VirtioTransport* transport_ = nullptr;
    std::unique_ptr<Virtqueue> queue_;
};

}  // namespace fmvm
