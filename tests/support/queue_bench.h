// SPDX-License-Identifier: Apache-2.0
// A virtqueue between a driver and its device.
#pragma once

#include <catch2/catch.hpp>

#include "devices/virtio/virtqueue.h"
#include "support/fake_driver.h"

namespace fmvm::test {

struct QueueBench {
    explicit QueueBench(std::uint16_t size = 8, bool event_index = false, std::uint16_t start = 0)
        : queue(ram, size), device(ram.memory(), state(event_index, start)) {
        queue.start_at(start);
    }
    Virtqueue::State state(bool event_index, std::uint16_t start) const {
        Virtqueue::State fresh;
        fresh.layout = queue.layout();
        fresh.event_index = event_index;
        fresh.next_available = fresh.next_used = start;
        return fresh;
    }
    std::uint16_t submit() { return queue.chain().readable_at(GuestAddress(0x2000), 4).submit(); }
    // Serves one request; its head.
    std::uint16_t serve(std::uint32_t written = 0) {
        std::optional<DescriptorChain> chain = device.pop();
        REQUIRE(chain);
        const std::uint16_t head = chain->head();
        device.push(std::move(*chain), written);
        return head;
    }

    GuestRam ram{128 * kib};
    FakeQueue queue;
    Virtqueue device;
};

}  // namespace fmvm::test
