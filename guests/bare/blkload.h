// SPDX-License-Identifier: Apache-2.0
// What blkload's two modes share: the options that shape the load.
#pragma once

#include <cstdint>
#include <string_view>

#include "lib/block_device.h"
#include "lib/clock.h"
#include "lib/options.h"
#include "lib/text.h"

namespace bare {

struct LoadShape {
    std::string_view operation;
    uint16_t depth;
    uint32_t block;     // bytes
    uint64_t blocks;    // in the span
    uint64_t requests;  // 0 = no limit
    uint64_t ticks;     // 0 = no limit
    uint64_t seed;
    uint64_t read_percent;
    bool sequential;
    uint64_t buffers;  // at least depth: requests use them in turns
    bool fresh;        // what is written was never written before
    bool scribble;     // buffers are written to while their requests are in flight
    bool halt;         // wait for interrupts, rather than polling the used ring

    bool copies() const { return operation == "copy"; }
    uint64_t sector(uint64_t number) const { return number * (block / kSectorSize); }
    bool more(uint64_t started, uint64_t elapsed) const {
        return (requests == 0 || started < requests) && (ticks == 0 || elapsed < ticks);
    }
};

// Runs the device until poll() of it has handed back at least one request; `meanwhile` is called as
// long as there is none.
template <class Done, class Meanwhile>
void await(BlockDevice& device, const LoadShape& shape, Done done, Meanwhile meanwhile) {
    while (device.poll(done) == 0) {
        meanwhile();
        if (shape.halt) {
            device.wait();
        } else {
            relax();
        }
    }
}

// verify=1 (blkload_verify.cpp)
void verify_device(BlockDevice& device, const LoadShape& shape, Text& summary);

}  // namespace bare
