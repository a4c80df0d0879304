// SPDX-License-Identifier: Apache-2.0
// An active virtio-blk device over a disk in memory that holds noise.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>

#include "support/block_bench.h"
#include "support/boot_images.h"

namespace fmvm::test {

struct BlockDeviceBench : MemoryDisk, BlockBench {
    explicit BlockDeviceBench(const BlockBench::Options& options = {},
                              const MemoryBackend::Options& disk = {})
        : MemoryDisk(1 * mib, disk), BlockBench(maker(), options) {
        *image = noise(1 * mib);
        original = *image;
        activate();
    }
    // The disk is as it was, but for what `changed` says.
    void expect_image(std::uint64_t offset, const Bytes& changed) {
        Bytes expected = original;
        std::copy(changed.begin(), changed.end(),
                  expected.begin() + static_cast<std::ptrdiff_t>(offset));
        CHECK((*image == expected));
    }
    Bytes all_ram() { return ram.peek_bytes(GuestAddress(0), ram.memory().total_bytes()); }
    Bytes original;
};

}  // namespace fmvm::test
