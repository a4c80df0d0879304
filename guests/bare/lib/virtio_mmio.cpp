// SPDX-License-Identifier: Apache-2.0
#include "virtio_mmio.h"

#include "guest.h"
#include "interrupts.h"

namespace bare {

using namespace virtio;

namespace {

constexpr uint32_t kMagicValue = 0x74726976;  // "virt"

std::optional<VirtioMmio> parse_device(std::string_view text) {
    if (!take_number(text) || text.empty() || text[0] != '@') return std::nullopt;
    text.remove_prefix(1);
    const std::optional<uint64_t> base = take_number(text);
    if (!base || text.empty() || text[0] != ':') return std::nullopt;
    text.remove_prefix(1);
    const std::optional<uint64_t> pin = take_number(text);
    if (!pin) return std::nullopt;  // Linux allows `:<id>` behind it
    return VirtioMmio(*base, static_cast<uint32_t>(*pin));
}

}  // namespace

uint64_t VirtioMmio::config64(uint32_t offset) const {
    for (;;) {
        const uint32_t generation = read(kConfigGeneration);
        const uint64_t low = read(kConfig + offset);
        const uint64_t high = read(kConfig + offset + 4);
        if (read(kConfigGeneration) == generation) return high << 32 | low;
    }
}

void VirtioMmio::write64(uint32_t offset, uint64_t value) const {
    write(offset, static_cast<uint32_t>(value));
    write(offset + 4, static_cast<uint32_t>(value >> 32));
}

void VirtioMmio::reset() const {
    write(kStatus, 0);
    while (read(kStatus) != 0)
        relax();
}

// 3.1.1 Device initialization.
uint64_t VirtioMmio::negotiate(uint64_t wanted) const {
    reset();
    write(kStatus, kAcknowledge);
    write(kStatus, kAcknowledge | kDriver);
    uint64_t offered = 0;
    for (uint32_t word = 0; word < 2; ++word) {
        write(kDeviceFeaturesSelect, word);
        offered |= uint64_t{read(kDeviceFeatures)} << 32 * word;
    }
    if (!(offered & kFeatureVersion1)) fail("a virtio device without VERSION_1");
    const uint64_t taken = offered & (wanted | kFeatureVersion1);
    for (uint32_t word = 0; word < 2; ++word) {
        write(kDriverFeaturesSelect, word);
        write(kDriverFeatures, static_cast<uint32_t>(taken >> 32 * word));
    }
    write(kStatus, kAcknowledge | kDriver | kFeaturesOk);
    if (!(read(kStatus) & kFeaturesOk)) fail("a virtio device refused its own features");
    return taken;
}

uint32_t VirtioMmio::queue_size_max(uint32_t queue) const {
    write(kQueueSelect, queue);
    return read(kQueueSizeMax);
}

void VirtioMmio::set_queue(uint32_t queue, const Virtqueue& ring) const {
    write(kQueueSelect, queue);
    if (read(kQueueReady) != 0) fail("a virtqueue is in use after reset");
    write(kQueueSize, ring.size());
    write64(kQueueDescriptors, ring.descriptors_address());
    write64(kQueueAvail, ring.avail_address());
    write64(kQueueUsed, ring.used_address());
    write(kQueueReady, 1);
}

void VirtioMmio::start() const {
    write(kStatus, kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
}

void VirtioMmio::acknowledge_interrupt() const {
    if (const uint32_t status = read(kInterruptStatus)) write(kInterruptAck, status);
}

uint8_t VirtioMmio::route() const {
    return route_interrupt(pin_);
}

DeviceList::DeviceList(const Options& options) {
    options.each("virtio_mmio.device", [this](std::string_view text) {
        const std::optional<VirtioMmio> device = parse_device(text);
        if (!device) fail(Text() << "malformed virtio_mmio.device=" << text);
        if (device->read(kMagic) != kMagicValue) fail("no virtio-mmio device where it should be");
        if (device->kind() == DeviceKind::kNone) return;  // an empty slot
        if (device->read(kVersion) != 2) fail("a virtio-mmio device that is not version 2");
        if (size_ == kMaxDevices) fail("too many virtio-mmio devices");
        devices_[size_++] = *device;
    });
}

const VirtioMmio& DeviceList::find(DeviceKind kind, uint64_t index) const {
    for (uint32_t i = 0; i < size_; ++i) {
        if (devices_[i].kind() == kind && index-- == 0) return devices_[i];
    }
    fail(Text() << "no such virtio device (kind " << static_cast<uint32_t>(kind) << ')');
}

}  // namespace bare
