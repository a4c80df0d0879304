// SPDX-License-Identifier: Apache-2.0
// The guest's side of virtio, for tests: a split queue (virtio 1.2, 2.7) with a fluent chain
// builder and a raw hand for doing on purpose what no driver does, and a driver for the MMIO
// registers (4.2). Written from the specification, apart from the device side.
#pragma once

#include <vector>

#include "devices/virtio/virtqueue.h"
#include "support/guest_ram.h"
#include "vmm/board/device.h"

namespace fmvm::test {

struct FakeDescriptor {
    std::uint64_t address = 0;
    std::uint32_t length = 0;
    std::uint16_t flags = 0;
    std::uint16_t next = 0;
};
inline constexpr std::uint16_t desc_next = 1;
inline constexpr std::uint16_t desc_write = 2;
inline constexpr std::uint16_t desc_indirect = 4;

struct UsedElement {
    std::uint32_t head = 0;
    std::uint32_t written = 0;
    bool operator==(const UsedElement&) const = default;
};

class ChainBuilder;

class FakeQueue {
  public:
    struct Places {
        GuestAddress descriptors;
        GuestAddress available;
        GuestAddress used;
    };
    FakeQueue(GuestRam& ram, std::uint16_t size);
    FakeQueue(GuestRam& ram, std::uint16_t size, const Places& places);

    QueueLayout layout() const;
    GuestRam& ram() { return ram_; }

    ChainBuilder chain();
    // Puts `head` into the available ring and moves the index.
    void publish(std::uint16_t head);
    // Lets both rings begin at `index`, as after that many requests. Before the first request.
    void start_at(std::uint16_t index);

    // What the device returned since the last call.
    std::vector<UsedElement> take_used();
    std::uint16_t used_index() const { return ram_.peek_acquire(places_.used + 2); }
    std::uint16_t available_index() const { return next_available_; }

    // Notifications: what the device asks for, and what the driver asks for (2.7.7, 2.7.10).
    std::uint16_t used_flags() const { return ram_.peek_acquire(places_.used); }
    std::uint16_t available_event() const { return ram_.peek_acquire(available_event_address()); }
    // Must the driver notify about what it published since the index was `old`?
    bool notification_wanted(std::uint16_t old, bool event_index) const;
    void set_no_interrupt(bool value) { ram_.poke_release(places_.available, value ? 1 : 0); }
    void set_used_event(std::uint16_t index) { ram_.poke_release(used_event_address(), index); }

    // The raw hand.
    void set_descriptor(std::uint16_t index, const FakeDescriptor& descriptor);
    void set_available_entry(std::uint16_t slot, std::uint16_t head);
    void set_available_index(std::uint16_t index);
    std::uint16_t next_descriptor() const { return next_descriptor_ % size_; }
    std::uint16_t take_descriptor() { return next_descriptor_++ % size_; }

  private:
    GuestAddress used_event_address() const { return places_.available + 4 + size_ * 2ULL; }
    GuestAddress available_event_address() const { return places_.used + 4 + size_ * 8ULL; }

    GuestRam& ram_;
    const std::uint16_t size_;
    const Places places_;
    std::uint16_t next_descriptor_ = 0;
    std::uint16_t next_available_ = 0;
    std::uint16_t next_used_ = 0;
};

// queue.chain().readable(header).writable(512).writable(1).submit()
class ChainBuilder {
  public:
    explicit ChainBuilder(FakeQueue& queue) : queue_(queue) {}

    ChainBuilder& readable(std::span<const std::uint8_t> bytes);
    ChainBuilder& readable_at(GuestAddress address, std::uint32_t length);
    ChainBuilder& writable(std::uint32_t length);
    ChainBuilder& writable_at(GuestAddress address, std::uint32_t length);
    // All buffers so far go into an indirect table.
    ChainBuilder& indirect() { return indirect_at(queue_.ram().take(table_size())); }
    ChainBuilder& indirect_at(GuestAddress table);
    std::uint32_t table_size() const { return static_cast<std::uint32_t>(parts_.size() * 16); }

    GuestAddress last_address() const { return GuestAddress(parts_.back().address); }
    // Lays the descriptors out and returns the head; submit() makes it available as well.
    std::uint16_t build();
    std::uint16_t submit();

  private:
    FakeQueue& queue_;
    std::vector<FakeDescriptor> parts_;
};

class TransportDriver {
  public:
    enum Register : std::uint64_t {
        magic = 0x000,
        version = 0x004,
        device_id = 0x008,
        device_features_word = 0x010,
        device_features_select = 0x014,
        driver_features_word = 0x020,
        driver_features_select = 0x024,
        queue_select = 0x030,
        queue_size_max = 0x034,
        queue_size = 0x038,
        queue_ready = 0x044,
        queue_notify = 0x050,
        interrupt_status = 0x060,
        interrupt_acknowledge = 0x064,
        status_register = 0x070,
        queue_descriptors = 0x080,
        queue_driver = 0x090,
        queue_device = 0x0a0,
        config = 0x100,
    };
    enum Status : std::uint32_t {
        acknowledge = 1,
        driver = 2,
        driver_ok = 4,
        features_ok = 8,
        needs_reset = 64,
    };

    explicit TransportDriver(BusDevice& registers) : registers_(registers) {}

    std::uint32_t get(std::uint64_t offset) const;
    void set(std::uint64_t offset, std::uint32_t value);

    std::uint64_t device_features();
    void set_driver_features(std::uint64_t features);
    void set_queue(std::uint32_t index, const QueueLayout& layout);
    // The whole sequence of 3.1.1; false when the device refuses the features. start() leaves out
    // the reset, which waits for the device's loop.
    bool initialise(std::uint64_t features, const std::vector<QueueLayout>& queues);
    bool start(std::uint64_t features, const std::vector<QueueLayout>& queues);

    void notify(std::uint32_t index) { set(queue_notify, index); }
    std::uint32_t status() const { return get(status_register); }
    void add_status(std::uint32_t bits) { set(status_register, status() | bits); }
    void reset() { set(status_register, 0); }

  private:
    void set_address(std::uint64_t offset, GuestAddress address);
    BusDevice& registers_;
};

}  // namespace fmvm::test
