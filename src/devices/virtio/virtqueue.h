// SPDX-License-Identifier: Apache-2.0
// The device side of a split virtqueue (virtio 1.2, 2.7): takes requests from the available ring
// and returns them through the used ring, with indirect descriptors and event index.
//
// The guest may write anything into the rings at any time, so all of it is checked. What a driver
// must never do breaks the queue: a chain that loops, leaves RAM, uses an index outside its table,
// puts a readable buffer behind a writable one or is empty, and a head that is offered again before
// its chain was returned. A broken queue yields no more requests until the driver resets the
// device; nothing else suffers.
//
// Threads: the loop thread only.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bit_set.h"
#include "devices/virtio/descriptor_chain.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm {

// Where the driver put the rings (register names of 4.2.2 in brackets).
struct QueueLayout {
    std::uint16_t size = 0;    // entries, a power of two [QueueNum]
    bool ready = false;        // [QueueReady]
    GuestAddress descriptors;  // [QueueDesc]
    GuestAddress available;    // [QueueDriver]
    GuestAddress used;         // [QueueDevice]
};

class Virtqueue {
  public:
    // All there is to know about a queue besides guest RAM and the chains that its device has.
    struct State {
        QueueLayout layout;
        bool event_index = false;          // VIRTIO_F_EVENT_IDX was negotiated
        bool indirect = false;             // VIRTIO_F_INDIRECT_DESC was negotiated
        std::uint16_t next_available = 0;  // what will be taken next
        std::uint16_t next_used = 0;       // what will be returned next
        std::uint16_t signalled_used = 0;  // next_used when the driver was last interrupted
        bool signalled_valid = false;
        bool broken = false;
    };

    Virtqueue(GuestMemory& memory, const State& state);

    const State& state() const { return state_; }
    // The guest did what no driver does; broken_reason() says what, for the log.
    bool broken() const { return state_.broken; }
    const char* broken_reason() const { return broken_reason_; }
    // Breaks the queue for a fault that only the device can see in a request. Returns false.
    bool fail(const char* reason);

    // The next request; none if the ring is empty or the queue broken.
    std::optional<DescriptorChain> pop();
    // A chain that another device had taken from this queue, for the device that goes on with it.
    // `head` lies within the queue and is taken back once.
    DescriptorChain take_back(std::uint16_t head);
    // True when pop() would find something.
    bool has_available();

    // Returns a chain to the driver. The first `written` bytes of its writable buffers hold data.
    void push(DescriptorChain chain, std::uint32_t written);
    // Whether the driver wants an interrupt for what was pushed since the last call.
    bool needs_interrupt();

    // Asks the driver to notify about new requests. True if some came in meanwhile.
    bool enable_notifications();
    void disable_notifications();

    // The most descriptors that one chain may hold, including indirect ones (as QEMU and Linux).
    static constexpr std::uint32_t chain_length_max = 1024;

  private:
    struct Descriptor;  // as in memory
    struct Table {
        GuestAddress address;
        std::uint32_t count;
    };
    bool read_descriptor(const Table& table, std::uint32_t index, Descriptor& out);
    bool collect(std::uint16_t head, DescriptorChain& chain);
    bool append(const Descriptor& descriptor, DescriptorChain& chain);
    bool take(std::uint16_t head);
    bool open_indirect(const Descriptor& descriptor, Table& table);

    GuestMemory& memory_;
    State state_;
    BitSet<std::uint16_t> taken_;  // heads of chains that the device has
    const char* broken_reason_ = "";
};

}  // namespace fmvm
