// SPDX-License-Identifier: Apache-2.0
#include "node/build/disk_stack.h"

#include <catch2/catch.hpp>

#include "support/block_bench.h"
#include "support/boot_images.h"
#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

constexpr std::uint64_t disk_size = 1 * mib;
using Holds = lockstep::WriteGate::Holds;

// A device on a stack on a file.
struct StackBench : TempFile {
    using Build = std::function<void(node::DiskStack&)>;
    explicit StackBench(const Build& build)
        : TempFile(disk_size),
          bench(
              [&](EventLoop& loop) {
                  node::DiskStack stack =
                      node::DiskStack::open(loop, DiskImage::open(path(), {}).value()).value();
                  CHECK(stack.image().size == disk_size);
                  build(stack);
                  return std::move(stack).take();
              },
              {}) {
        bench.activate();
    }
    bool holds(std::uint64_t offset, const Bytes& bytes) {
        const Bytes all = read_all();
        return std::equal(bytes.begin(), bytes.end(),
                          all.begin() + static_cast<std::ptrdiff_t>(offset));
    }

    BlockBench bench;
};

}  // namespace

TEST_CASE("a disk's stack hands requests down to the image", "[block]") {
    StackBench disk([](node::DiskStack&) {});
    const Bytes data = noise(4096);
    const auto request = disk.bench.driver.write(8, data);
    REQUIRE(disk.bench.pump_until_returned(1));
    CHECK(disk.bench.driver.status(request) == blk_ok);
    CHECK(disk.holds(4096, data));
}

TEST_CASE("a disk's stack that holds writes keeps them from the image", "[block]") {
    lockstep::WriteGate* gate = nullptr;
    StackBench disk([&](node::DiskStack& stack) { gate = &stack.hold_writes(Holds::writes); });
    gate->hold();
    const Bytes data = noise(4096);
    disk.bench.driver.write(8, data);
    disk.bench.pump();
    CHECK(gate->holds_disk_requests());
    CHECK_FALSE(disk.holds(4096, data));
    gate->open();
    REQUIRE(disk.bench.pump_until_returned(1));
    CHECK(disk.holds(4096, data));
}
