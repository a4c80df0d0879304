// SPDX-License-Identifier: Apache-2.0
// A request that a BlockDevice's backend works on; private to the device.
#pragma once

#include "devices/block/block_device.h"

namespace fmvm {

struct BlockDevice::InFlight : BlockOperation {
    bool busy = false;
    std::uint64_t sequence = 0;  // the order in which requests were taken
    DescriptorChain chain{0};
    GuestAddress status_address;
    InFlight() { chain.abandon(); }
};

}  // namespace fmvm
