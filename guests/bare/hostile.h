// SPDX-License-Identifier: Apache-2.0
// What the parts of the guest `hostile` share. Whatever it does, it must neither destroy itself nor
// the part of its disk that the host will look at: hence the strict pools below.
#pragma once

#include <cstdint>

#include "lib/checksum.h"
#include "lib/clock.h"
#include "lib/virtio_mmio.h"

namespace bare {

// Guest RAM that devices are given. What a device may read holds only what we put there; what it
// may write is never given to it to read, so that disk contents are never taken for headers.
struct Pools {
    static constexpr uint64_t kReadable = 64 << 10;
    static constexpr uint64_t kWritable = 256 << 10;
    static constexpr uint64_t kRings = 128 << 10;
    uint64_t readable, writable, rings;
};

struct Hostile {
    Random random;
    const Clock& clock;
    const DeviceList& devices;
    Pools pools;
    uint64_t sectors = 0;        // of the disk under attack, 0 = no disk
    uint64_t first_scratch = 0;  // writes go to this sector or later

    const VirtioMmio& any_device() {
        return devices[static_cast<uint32_t>(random.below(devices.size()))];
    }
    // Values on which checks break: powers of two and their neighbours, ends of RAM, all ones.
    uint64_t nasty();
};

// hostile_bus.cpp: ports and MMIO of any size anywhere, devices' registers too.
void attack_ports(Hostile& hostile);
void attack_mmio(Hostile& hostile);
void attack_registers(Hostile& hostile);

// hostile_queue.cpp
void attack_queue_addresses(Hostile& hostile);
void attack_chains(Hostile& hostile);

// hostile_heal.cpp: after a reset, every device must serve a driver that behaves.
void offer_twice(Hostile& hostile);
void reset_in_flight(Hostile& hostile);
void require_healthy(Hostile& hostile);

}  // namespace bare
