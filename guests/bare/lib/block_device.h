// SPDX-License-Identifier: Apache-2.0
// A virtio-blk driver (Virtual I/O Device 1.2, 5.2) with several requests in flight. A request
// lives in a slot, from start() until poll() hands it back; the caller chooses the slots.
#pragma once

#include <cstdint>

#include "virtio_mmio.h"

namespace bare {

constexpr uint64_t kSectorSize = 512;

enum class BlockOperation : uint32_t {
    kRead = 0,
    kWrite = 1,
    kFlush = 4,
    kGetId = 8,
    kDiscard = 11,
    kWriteZeroes = 13,
};

enum class BlockStatus : uint8_t { kOk = 0, kIoError = 1, kUnsupported = 2, kPending = 0xff };

struct BlockDeviceLimits {
    uint16_t slots = 1;
    uint16_t segments = 1;  // each request's data in so many descriptors
    bool indirect = true;
    bool event_index = true;
};

class BlockDevice {
  public:
    BlockDevice(const VirtioMmio& mmio, const BlockDeviceLimits& limits);

    uint64_t sectors() const { return sectors_; }
    bool can_flush() const { return can_flush_; }
    // Times that the device wanted to be notified: each is an exit to the VMM.
    uint64_t notifications() const { return notifications_; }

    // Queues a request; kick() lets the device see all that were queued.
    void start(uint16_t slot, BlockOperation operation, uint64_t sector, uint64_t data,
               uint32_t bytes);
    void kick();

    // Calls done(slot, status) for each request that has ended.
    template <class Done>
    uint32_t poll(Done done) {
        uint32_t count = 0;
        while (const std::optional<UsedElement> used = queue_.pop()) {
            const uint16_t slot = finish(*used);
            done(slot, static_cast<BlockStatus>(slots_[slot].status));
            ++count;
        }
        return count;
    }
    // Halts until a request may have ended.
    void wait();

    // One request alone, in slot 0, while no other is in flight.
    BlockStatus run(BlockOperation operation, uint64_t sector, uint64_t data, uint32_t bytes);
    // The same, and the guest ends unless it went well.
    void must(BlockOperation operation, uint64_t sector, uint64_t data, uint32_t bytes);

  private:
    static constexpr uint16_t kMaxSegments = 16;
    static constexpr uint16_t kMaxDescriptors = kMaxSegments + 2;

    struct Slot {
        uint32_t type, reserved;  // the header, 5.2.6
        uint64_t sector;
        volatile uint8_t status;
        Descriptor table[kMaxDescriptors];  // when descriptors are indirect
    };

    uint16_t ring_size(const BlockDeviceLimits& limits) const;
    void chain(Slot& slot, Descriptor* table, uint16_t first, bool device_writes, uint64_t data,
               uint32_t bytes);
    uint16_t head(uint16_t slot) const;
    uint16_t finish(const UsedElement& used);

    VirtioMmio mmio_;
    Virtqueue queue_;
    Slot* slots_;
    uint64_t sectors_;
    uint64_t acknowledged_ = 0;  // interrupts
    uint64_t notifications_ = 0;
    uint16_t slot_count_, segments_;
    bool indirect_, can_flush_;
    uint8_t vector_;
};

}  // namespace bare
