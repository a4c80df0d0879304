// SPDX-License-Identifier: Apache-2.0
// The driver's side of a split virtqueue (Virtual I/O Device 1.2, 2.7), with or without event
// index. Who uses it lays out descriptors as he likes; there is no free list.
#pragma once

#include <cstdint>
#include <optional>

namespace bare {

struct Descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags;
    uint16_t next;
};

constexpr uint16_t kNext = 1, kDeviceWrites = 2, kIndirect = 4;

struct UsedElement {
    uint32_t id;
    uint32_t length;
};

class Virtqueue {
  public:
    Virtqueue() = default;
    // Takes RAM for a ring of `size` descriptors (a power of two).
    Virtqueue(uint16_t size, bool event_index);

    uint16_t size() const { return size_; }
    uint64_t descriptors_address() const { return reinterpret_cast<uint64_t>(descriptors_); }
    uint64_t avail_address() const { return reinterpret_cast<uint64_t>(avail_); }
    uint64_t used_address() const { return reinterpret_cast<uint64_t>(used_); }
    Descriptor& descriptor(uint16_t index) { return descriptors_[index]; }

    // Makes the chain at `head` available, unseen by the device before publish().
    void push(uint16_t head);
    // Shows the device all that was pushed; true when it wants to be notified.
    bool publish();

    std::optional<UsedElement> pop();
    bool has_used() const;
    // Asks for an interrupt at the next used element; false when there is one already.
    bool arm_interrupt();
    void disarm_interrupt();

  private:
    volatile uint16_t& avail_flags() const { return avail_[0]; }
    volatile uint16_t& avail_index() const { return avail_[1]; }
    volatile uint16_t& used_event() const { return avail_[2 + size_]; }
    volatile uint16_t& used_flags() const { return used_[0]; }
    volatile uint16_t& used_index() const { return used_[1]; }
    volatile uint16_t& avail_event() const { return used_[2 + 4 * size_]; }

    Descriptor* descriptors_ = nullptr;
    volatile uint16_t* avail_ = nullptr;
    volatile uint16_t* used_ = nullptr;
    uint16_t size_ = 0;
    bool event_index_ = false;
    uint16_t pushed_ = 0;     // next index of the avail ring
    uint16_t published_ = 0;  // what the device has been shown
    uint16_t popped_ = 0;     // next index of the used ring
};

}  // namespace bare
