// SPDX-License-Identifier: Apache-2.0
// A virtio-net driver (Virtual I/O Device 1.2, 5.1) without offloads: whole frames, in and out.
#pragma once

#include <cstdint>

#include "virtio_mmio.h"

namespace bare {

struct MacAddress {
    uint8_t bytes[6];
};

class NetworkCard {
  public:
    static constexpr uint32_t kFrameMax = 1514;

    explicit NetworkCard(const VirtioMmio& mmio);

    const MacAddress& address() const { return address_; }
    // Frames given to the device.
    uint64_t sent() const { return sent_; }

    // Calls handle(frame, length) for each frame that has come in. It may answer in place, and send
    // what is there: frame has room for kFrameMax bytes.
    template <class Handle>
    uint32_t receive(Handle handle) {
        uint32_t count = 0;
        while (const std::optional<UsedElement> used = received_.pop()) {
            Buffer& buffer = incoming(*used);
            handle(buffer.frame, used->length - kHeaderSize);
            received_.push(static_cast<uint16_t>(used->id));
            ++count;
        }
        if (count != 0 && received_.publish()) mmio_.notify(kReceiveQueue);
        return count;
    }
    // Waits for a free buffer, and copies the frame into it. flush() lets the device see it.
    void send(const uint8_t* frame, uint32_t length);
    void flush();

    // Halts until frames have come in.
    void wait();

  private:
    static constexpr uint32_t kReceiveQueue = 0, kSendQueue = 1;
    static constexpr uint32_t kHeaderSize = 12;
    static constexpr uint16_t kBuffers = 128;

    struct Buffer {
        uint8_t header[kHeaderSize];
        uint8_t frame[kFrameMax];
    };

    Buffer& incoming(const UsedElement& used);
    void take_back_sent();

    VirtioMmio mmio_;
    MacAddress address_{};
    Virtqueue received_, sending_;
    Buffer* in_;
    Buffer* out_;
    uint16_t free_[kBuffers];  // of out_
    uint16_t free_count_ = 0;
    uint64_t sent_ = 0;
    uint64_t acknowledged_ = 0;  // interrupts
    uint8_t vector_;
};

}  // namespace bare
