// SPDX-License-Identifier: Apache-2.0
// The other half of an attack: after a reset a device touches our memory no more, and serves us
// again.
#include "hostile.h"
#include "lib/block_device.h"
#include "lib/boot_info.h"
#include "lib/guest.h"
#include "lib/memory.h"

namespace bare {
namespace {

constexpr uint16_t kSlots = 32;
constexpr uint32_t kBlock = 4096;
constexpr uint64_t kTimeoutUs = 20000000;
constexpr uint64_t kQuietUs = 2000;
constexpr uint64_t kTwiceUs = 20000;
constexpr uint16_t kTwiceSlots = 4;
constexpr uint8_t kPattern = 0x5a;

void finish_in_time(const Hostile& hostile, BlockDevice& device, std::string_view what) {
    const uint64_t deadline = rdtsc() + hostile.clock.ticks_from_us(kTimeoutUs);
    BlockStatus result = BlockStatus::kPending;
    while (device.poll([&](uint16_t, BlockStatus status) { result = status; }) == 0) {
        if (rdtsc() > deadline) fail(Text() << "after a reset a disk does not finish a " << what);
        relax();
    }
    if (result == BlockStatus::kOk) return;
    fail(Text() << "after a reset a " << what << " ends with status "
                << static_cast<uint32_t>(result));
}

void require_healthy_disk(Hostile& hostile, const VirtioMmio& mmio) {
    BlockDevice device(mmio, {});
    const uint64_t sector = hostile.first_scratch;
    const uint64_t written = allocate_pages(kBlock), found = allocate_pages(kBlock);
    for (uint64_t i = 0; i < kBlock / 8; ++i) {
        reinterpret_cast<uint64_t*>(written)[i] = hostile.random.next();
    }
    fill(reinterpret_cast<void*>(found), 0, kBlock);
    device.start(0, BlockOperation::kWrite, sector, written, kBlock);
    device.kick();
    finish_in_time(hostile, device, "write");
    device.start(0, BlockOperation::kRead, sector, found, kBlock);
    device.kick();
    finish_in_time(hostile, device, "read");
    if (crc32(reinterpret_cast<void*>(written), kBlock) !=
        crc32(reinterpret_cast<void*>(found), kBlock)) {
        fail("after a reset a disk does not hold what it was given");
    }
}

void require_healthy_entropy(const Hostile& hostile, const VirtioMmio& mmio) {
    mmio.negotiate(0);
    Virtqueue queue(8, false);
    mmio.set_queue(0, queue);
    mmio.start();
    queue.descriptor(0) = {hostile.pools.writable, 64, kDeviceWrites, 0};
    queue.push(0);
    queue.publish();
    mmio.notify(0);
    const uint64_t deadline = rdtsc() + hostile.clock.ticks_from_us(kTimeoutUs);
    while (!queue.has_used()) {
        if (rdtsc() > deadline) fail("after a reset the entropy device gives nothing");
        relax();
    }
}

}  // namespace

// Each head again while its first request is in flight. They are writes, which a protected guest's
// disk holds until the epoch is committed. The device may keep all of them until the reset.
void offer_twice(Hostile& hostile) {
    if (hostile.sectors == 0) return;
    const AllocationScope scope;
    const VirtioMmio& mmio = hostile.devices.find(DeviceKind::kBlock);
    BlockDeviceLimits limits;
    limits.slots = kTwiceSlots;
    limits.indirect = hostile.random.one_in(2);
    BlockDevice device(mmio, limits);
    const uint64_t scratch = hostile.sectors - hostile.first_scratch - kBlock / kSectorSize;
    for (uint16_t i = 0; i < 2 * kTwiceSlots; ++i) {
        const uint64_t sector = hostile.first_scratch + hostile.random.below(scratch);
        device.start(i / 2, BlockOperation::kWrite, sector, hostile.pools.readable, kBlock);
    }
    device.kick();
    const uint64_t wait_us = hostile.random.below(kTwiceUs);
    hostile.clock.sleep_until(rdtsc() + hostile.clock.ticks_from_us(wait_us));
    mmio.reset();
}

// Many reads in flight, then a reset: once the status reads 0, nothing may arrive (2.4.2: a driver
// may reuse the memory).
void reset_in_flight(Hostile& hostile) {
    if (hostile.sectors == 0) return;
    const AllocationScope scope;
    const VirtioMmio& mmio = hostile.devices.find(DeviceKind::kBlock);
    BlockDeviceLimits limits;
    limits.slots = kSlots;
    BlockDevice device(mmio, limits);
    const uint64_t data = hostile.pools.writable;
    for (uint16_t slot = 0; slot < kSlots; ++slot) {
        const uint64_t sector = hostile.random.below(hostile.sectors - kBlock / kSectorSize);
        device.start(slot, BlockOperation::kRead, sector, data + uint64_t{slot} * kBlock, kBlock);
    }
    device.kick();
    const uint64_t until = rdtsc() + hostile.clock.ticks_from_us(hostile.random.below(200));
    while (rdtsc() < until)
        relax();
    mmio.reset();
    fill(reinterpret_cast<void*>(data), kPattern, kSlots * kBlock);
    hostile.clock.sleep_until(rdtsc() + hostile.clock.ticks_from_us(kQuietUs));
    for (uint64_t i = 0; i < kSlots * kBlock; ++i) {
        if (reinterpret_cast<volatile uint8_t*>(data)[i] == kPattern) continue;
        fail("a disk wrote to memory after its reset");
    }
}

void require_healthy(Hostile& hostile) {
    for (uint32_t i = 0; i < hostile.devices.size(); ++i) {
        const AllocationScope scope;
        const VirtioMmio& mmio = hostile.devices[i];
        mmio.reset();
        if (mmio.kind() == DeviceKind::kBlock) require_healthy_disk(hostile, mmio);
        if (mmio.kind() == DeviceKind::kEntropy) require_healthy_entropy(hostile, mmio);
        mmio.reset();
    }
}

}  // namespace bare
