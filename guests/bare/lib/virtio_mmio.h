// SPDX-License-Identifier: Apache-2.0
// The virtio-mmio transport, version 2 (Virtual I/O Device 1.2, 4.2), and the devices that the
// command line names in Linux's way: virtio_mmio.device=<size>@<base>:<irq>.
#pragma once

#include <cstdint>

#include "cpu.h"
#include "options.h"
#include "virtqueue.h"

namespace bare {

enum class DeviceKind : uint32_t { kNone = 0, kNet = 1, kBlock = 2, kEntropy = 4 };

namespace virtio {

enum Register : uint32_t {
    kMagic = 0x000,
    kVersion = 0x004,
    kDeviceId = 0x008,
    kDeviceFeatures = 0x010,
    kDeviceFeaturesSelect = 0x014,
    kDriverFeatures = 0x020,
    kDriverFeaturesSelect = 0x024,
    kQueueSelect = 0x030,
    kQueueSizeMax = 0x034,
    kQueueSize = 0x038,
    kQueueReady = 0x044,
    kQueueNotify = 0x050,
    kInterruptStatus = 0x060,
    kInterruptAck = 0x064,
    kStatus = 0x070,
    kQueueDescriptors = 0x080,
    kQueueAvail = 0x090,
    kQueueUsed = 0x0a0,
    kConfigGeneration = 0x0fc,
    kConfig = 0x100,
};

enum Status : uint32_t {
    kAcknowledge = 1,
    kDriver = 2,
    kDriverOk = 4,
    kFeaturesOk = 8,
    kNeedsReset = 64,
    kFailed = 128,
};

constexpr uint64_t kFeatureIndirect = uint64_t{1} << 28;
constexpr uint64_t kFeatureEventIndex = uint64_t{1} << 29;
constexpr uint64_t kFeatureVersion1 = uint64_t{1} << 32;

}  // namespace virtio

class VirtioMmio {
  public:
    VirtioMmio() = default;
    VirtioMmio(uint64_t base, uint32_t pin) : base_(base), pin_(pin) {}

    uint64_t base() const { return base_; }
    DeviceKind kind() const { return static_cast<DeviceKind>(read(virtio::kDeviceId)); }

    uint32_t read(uint32_t offset) const { return mmio_read<uint32_t>(base_ + offset); }
    void write(uint32_t offset, uint32_t value) const { mmio_write(base_ + offset, value); }
    // 32 bits at a time, as the configuration space is to be read; torn reads are repeated.
    uint64_t config64(uint32_t offset) const;

    void reset() const;
    // Reset, acknowledge, and take those of `wanted` that the device offers; VERSION_1 always.
    uint64_t negotiate(uint64_t wanted) const;
    uint32_t queue_size_max(uint32_t queue) const;
    void set_queue(uint32_t queue, const Virtqueue& ring) const;
    void start() const;

    void notify(uint32_t queue) const { write(virtio::kQueueNotify, queue); }
    // Reading the status and acknowledging what it says; without that the line would stay up.
    void acknowledge_interrupt() const;
    uint8_t route() const;

  private:
    void write64(uint32_t offset, uint64_t value) const;

    uint64_t base_ = 0;
    uint32_t pin_ = 0;
};

class DeviceList {
  public:
    static constexpr uint32_t kMaxDevices = 32;

    explicit DeviceList(const Options& options);

    uint32_t size() const { return size_; }
    const VirtioMmio& operator[](uint32_t index) const { return devices_[index]; }
    // The `index`th device of this kind; ends the guest when there is none.
    const VirtioMmio& find(DeviceKind kind, uint64_t index = 0) const;

  private:
    VirtioMmio devices_[kMaxDevices];
    uint32_t size_ = 0;
};

}  // namespace bare
