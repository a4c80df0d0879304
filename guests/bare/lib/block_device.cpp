// SPDX-License-Identifier: Apache-2.0
#include "block_device.h"

#include "boot_info.h"
#include "guest.h"
#include "interrupts.h"

namespace bare {
namespace {

constexpr uint64_t kFeatureFlush = uint64_t{1} << 9;
constexpr uint64_t kFeatureDiscard = uint64_t{1} << 13;
constexpr uint64_t kFeatureWriteZeroes = uint64_t{1} << 14;
constexpr uint32_t kQueue = 0;
constexpr uint32_t kLargestRing = 1024;
constexpr uint32_t kConfigCapacity = 0;

bool device_fills(BlockOperation operation) {
    return operation == BlockOperation::kRead || operation == BlockOperation::kGetId;
}

}  // namespace

BlockDevice::BlockDevice(const VirtioMmio& mmio, const BlockDeviceLimits& limits)
    : mmio_(mmio), slot_count_(limits.slots), segments_(limits.segments) {
    if (limits.slots == 0 || limits.segments == 0 || limits.segments > kMaxSegments) {
        fail(Text() << "segments= is 1 to " << uint32_t{kMaxSegments} << ", depth= at least 1");
    }
    const uint64_t taken = mmio_.negotiate(kFeatureFlush | kFeatureDiscard | kFeatureWriteZeroes |
                                           (limits.indirect ? virtio::kFeatureIndirect : 0) |
                                           (limits.event_index ? virtio::kFeatureEventIndex : 0));
    indirect_ = taken & virtio::kFeatureIndirect;
    can_flush_ = taken & kFeatureFlush;
    sectors_ = mmio_.config64(kConfigCapacity);
    queue_ = Virtqueue(ring_size(limits), taken & virtio::kFeatureEventIndex);
    slots_ = allocate<Slot>(slot_count_);
    mmio_.set_queue(kQueue, queue_);
    vector_ = mmio_.route();
    mmio_.start();
}

// All that the device allows; with direct descriptors each slot needs its own run of them.
uint16_t BlockDevice::ring_size(const BlockDeviceLimits& limits) const {
    const uint32_t allowed = mmio_.queue_size_max(kQueue);
    const uint32_t size = allowed < kLargestRing ? allowed : kLargestRing;
    const uint32_t needed = indirect_ ? limits.slots : limits.slots * (limits.segments + 2u);
    if (needed > size)
        fail(Text() << "a queue of " << size << " is too short, " << needed << " needed");
    return static_cast<uint16_t>(size);
}

uint16_t BlockDevice::head(uint16_t slot) const {
    return indirect_ ? slot : static_cast<uint16_t>(slot * (segments_ + 2));
}

// Header, data in segments_ pieces, status. `first` is the index of table[0].
void BlockDevice::chain(Slot& slot, Descriptor* table, uint16_t first, bool device_writes,
                        uint64_t data, uint32_t bytes) {
    uint16_t used = 0;
    const auto add = [&](uint64_t address, uint32_t length, uint16_t flags) {
        table[used] = {address, length, flags, static_cast<uint16_t>(first + used + 1)};
        ++used;
    };
    add(reinterpret_cast<uint64_t>(&slot.type), 16, kNext);
    const uint32_t piece = (bytes / segments_ + kSectorSize - 1) / kSectorSize * kSectorSize;
    while (bytes > 0) {
        const uint32_t length = bytes < piece || used == segments_ ? bytes : piece;
        add(data, length, static_cast<uint16_t>(kNext | (device_writes ? kDeviceWrites : 0)));
        data += length;
        bytes -= length;
    }
    add(reinterpret_cast<uint64_t>(&slot.status), 1, kDeviceWrites);
    if (indirect_) {
        queue_.descriptor(head(static_cast<uint16_t>(&slot - slots_))) = {
            reinterpret_cast<uint64_t>(table), static_cast<uint32_t>(used * sizeof(Descriptor)),
            kIndirect, 0};
    }
}

void BlockDevice::start(uint16_t index, BlockOperation operation, uint64_t sector, uint64_t data,
                        uint32_t bytes) {
    Slot& slot = slots_[index];
    slot.type = static_cast<uint32_t>(operation);
    slot.reserved = 0;
    slot.sector = sector;
    slot.status = static_cast<uint8_t>(BlockStatus::kPending);
    const bool device_writes = device_fills(operation);
    if (indirect_) {
        chain(slot, slot.table, 0, device_writes, data, bytes);
    } else {
        chain(slot, &queue_.descriptor(head(index)), head(index), device_writes, data, bytes);
    }
    queue_.push(head(index));
}

void BlockDevice::kick() {
    if (!queue_.publish()) return;
    ++notifications_;
    mmio_.notify(kQueue);
}

uint16_t BlockDevice::finish(const UsedElement& used) {
    const uint32_t slot = indirect_ ? used.id : used.id / (segments_ + 2u);
    if (slot >= slot_count_ || head(static_cast<uint16_t>(slot)) != used.id) {
        fail(Text() << "the device returned a chain that was not given: " << used.id);
    }
    if (slots_[slot].status == static_cast<uint8_t>(BlockStatus::kPending)) {
        fail("the device returned a request without a status");
    }
    return static_cast<uint16_t>(slot);
}

// An interrupt that came while nobody waited has left the line up, and would hide the next one: it
// is acknowledged before the ring is armed. One that comes after `seen` was read ends the halt.
void BlockDevice::wait() {
    const uint64_t seen = interrupt_count(vector_);
    if (seen != acknowledged_) {
        mmio_.acknowledge_interrupt();
        acknowledged_ = seen;
    }
    if (queue_.arm_interrupt()) wait_for_interrupt(vector_, seen);
    queue_.disarm_interrupt();
}

BlockStatus BlockDevice::run(BlockOperation operation, uint64_t sector, uint64_t data,
                             uint32_t bytes) {
    BlockStatus result = BlockStatus::kPending;
    start(0, operation, sector, data, bytes);
    kick();
    while (poll([&](uint16_t, BlockStatus status) { result = status; }) == 0)
        wait();
    return result;
}

void BlockDevice::must(BlockOperation operation, uint64_t sector, uint64_t data, uint32_t bytes) {
    const BlockStatus status = run(operation, sector, data, bytes);
    if (status == BlockStatus::kOk) return;
    fail(Text() << "block operation " << static_cast<uint32_t>(operation) << " at sector " << sector
                << " ended with status " << static_cast<uint32_t>(status));
}

}  // namespace bare
