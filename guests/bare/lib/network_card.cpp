// SPDX-License-Identifier: Apache-2.0
#include "network_card.h"

#include "boot_info.h"
#include "guest.h"
#include "interrupts.h"
#include "memory.h"

namespace bare {
namespace {

constexpr uint64_t kFeatureMac = uint64_t{1} << 5;

}  // namespace

NetworkCard::NetworkCard(const VirtioMmio& mmio) : mmio_(mmio) {
    const uint64_t taken = mmio_.negotiate(kFeatureMac | virtio::kFeatureEventIndex);
    if (!(taken & kFeatureMac)) fail("a network card without an address");
    const uint64_t config = mmio_.config64(0);
    for (uint32_t i = 0; i < sizeof address_.bytes; ++i)
        address_.bytes[i] = static_cast<uint8_t>(config >> 8 * i);
    if (mmio_.queue_size_max(kReceiveQueue) < kBuffers ||
        mmio_.queue_size_max(kSendQueue) < kBuffers) {
        fail("the network card's queues are too short");
    }
    const bool event_index = taken & virtio::kFeatureEventIndex;
    received_ = Virtqueue(kBuffers, event_index);
    sending_ = Virtqueue(kBuffers, event_index);
    in_ = allocate<Buffer>(kBuffers);
    out_ = allocate<Buffer>(kBuffers);
    fill(out_, 0, kBuffers * sizeof(Buffer));
    mmio_.set_queue(kReceiveQueue, received_);
    mmio_.set_queue(kSendQueue, sending_);
    vector_ = mmio_.route();
    mmio_.start();
    for (uint16_t i = 0; i < kBuffers; ++i) {
        received_.descriptor(i) = {reinterpret_cast<uint64_t>(&in_[i]), sizeof(Buffer),
                                   kDeviceWrites, 0};
        received_.push(i);
        free_[free_count_++] = i;
    }
    if (received_.publish()) mmio_.notify(kReceiveQueue);
}

NetworkCard::Buffer& NetworkCard::incoming(const UsedElement& used) {
    if (used.id >= kBuffers || used.length < kHeaderSize || used.length > sizeof(Buffer))
        fail(Text() << "the network card returned a buffer that was not given: " << used.id);
    return in_[used.id];
}

void NetworkCard::take_back_sent() {
    while (const std::optional<UsedElement> used = sending_.pop()) {
        if (used->id >= kBuffers || free_count_ == kBuffers)
            fail(Text() << "the network card sent a buffer that was not given: " << used->id);
        free_[free_count_++] = static_cast<uint16_t>(used->id);
    }
}

void NetworkCard::send(const uint8_t* frame, uint32_t length) {
    if (length > kFrameMax) fail("a frame is too long");
    take_back_sent();
    while (free_count_ == 0) {
        flush();
        relax();
        take_back_sent();
    }
    const uint16_t index = free_[--free_count_];
    copy(out_[index].frame, frame, length);
    sending_.descriptor(index) = {reinterpret_cast<uint64_t>(&out_[index]), kHeaderSize + length, 0,
                                  0};
    sending_.push(index);
    ++sent_;
}

void NetworkCard::flush() {
    if (sending_.publish()) mmio_.notify(kSendQueue);
}

// As BlockDevice::wait().
void NetworkCard::wait() {
    const uint64_t seen = interrupt_count(vector_);
    if (seen != acknowledged_) {
        mmio_.acknowledge_interrupt();
        acknowledged_ = seen;
    }
    if (received_.arm_interrupt()) wait_for_interrupt(vector_, seen);
    received_.disarm_interrupt();
}

}  // namespace bare
