// SPDX-License-Identifier: Apache-2.0
#include "lockstep/output/write_gate.h"

#include <catch2/catch.hpp>

#include "support/block_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

// A gate before a disk in memory, and a guest that writes a number to a sector of that number.
struct WriteGateBench : BlockOperationOwner {
    explicit WriteGateBench(WriteGate::Holds holds = WriteGate::Holds::writes)
        : gate(loop, std::make_unique<MemoryBackend>(image), holds) {
        loop.start();
    }
    ~WriteGateBench() override { loop.stop(); }

    void complete(BlockOperation& operation, BlockStatus status) override {
        CHECK(status == BlockStatus::ok);
        completed.push_back(operation.offset / 512);
    }
    void submit(BlockOp op, std::uint8_t number) {
        sectors.emplace_back(512, number);
        BlockOperation& operation = operations.emplace_back();
        operation.op = op;
        operation.offset = number * 512U;
        operation.owner = this;
        if (op != BlockOp::flush) {
            operation.length = 512;
            operation.buffers.push_back({sectors.back().data(), 512});
        }
        loop.run_sync([&] { gate.submit(operation); });
    }
    void write(std::uint8_t number) { submit(BlockOp::write, number); }
    void commit(EpochId epoch) {
        gate.commit(epoch);
        settle();
    }
    void settle() {
        loop.run_sync([] {});
    }
    bool on_disk(std::uint8_t number) const { return (*image)[number * 512U] == number; }

    EventLoop loop;
    SharedImage image = std::make_shared<std::vector<std::uint8_t>>(64 * 512);
    WriteGate gate;
    std::deque<std::vector<std::uint8_t>> sectors;
    std::deque<BlockOperation> operations;
    std::vector<std::uint64_t> completed;
};

using Numbers = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("write gate: open, everything passes") {
    WriteGateBench bench;
    bench.write(1);
    CHECK(bench.on_disk(1));
    CHECK_FALSE(bench.gate.waiting_since());
}

// Whoever drives a gate without its loop would else ask again and again without a pause.
TEST_CASE("write gate: to wait for completions is to wait for those of the disk") {
    struct WaitingDisk : MemoryBackend {
        WaitingDisk(SharedImage image, std::chrono::milliseconds& waited)
            : MemoryBackend(std::move(image)), waited_(waited) {}
        void wait_for_completion(std::chrono::milliseconds limit) override { waited_ = limit; }
        std::chrono::milliseconds& waited_;
    };
    EventLoop loop;
    std::chrono::milliseconds waited{0};
    const auto image = std::make_shared<std::vector<std::uint8_t>>(512);
    WriteGate gate(loop, std::make_unique<WaitingDisk>(image, waited));
    gate.wait_for_completion(std::chrono::milliseconds(7));
    CHECK(waited == std::chrono::milliseconds(7));
}

// Else the vCPU would wait for the reset, the write for a commit, and the cut for the vCPU.
TEST_CASE("write gate: a reset does not wait for a held write, which is never written") {
    MemoryDisk disk;
    WriteGate* gate = nullptr;
    BlockBench bench(
        [&](EventLoop& loop) {
            auto made = std::make_unique<WriteGate>(loop, disk.maker()(loop));
            gate = made.get();
            return made;
        },
        {});
    bench.activate();
    gate->hold();
    const auto cut = bench.driver.write(1, Bytes(512, 1));
    bench.pump();
    gate->close_epoch(1);
    const auto uncut = bench.driver.write(2, Bytes(512, 2));
    bench.pump();
    CHECK(gate->waiting_since());
    bool done = false;
    bench.device.reset([&] { done = true; });
    CHECK(done);
    CHECK_FALSE(gate->waiting_since());
    CHECK(disk.backend->withdrawals() == 1);
    gate->commit(1);
    gate->open();
    bench.loop.context().poll();
    CHECK(disk.backend->submitted() == 0);
    for (const auto& write : {cut, uncut})
        CHECK(bench.driver.status(write) == blk_untouched);
}

TEST_CASE("write gate: a write waits for the commit of its epoch, reads and flushes pass") {
    WriteGateBench bench;
    bench.gate.hold();
    bench.write(1);
    bench.submit(BlockOp::discard, 2);
    bench.submit(BlockOp::write_zeroes, 3);
    CHECK(bench.gate.waiting_since());
    bench.submit(BlockOp::read, 4);
    bench.submit(BlockOp::flush, 5);
    CHECK(bench.completed == Numbers{4, 5});
    bench.gate.close_epoch(7);
    CHECK_FALSE(bench.gate.waiting_since());
    bench.write(6);
    bench.commit(6);
    CHECK(bench.completed == Numbers{4, 5});
    bench.commit(7);
    CHECK(bench.completed == Numbers{4, 5, 1, 2, 3});
    CHECK_FALSE(bench.on_disk(6));
    bench.gate.open();
    bench.settle();
    CHECK(bench.on_disk(6));
}

TEST_CASE("write gate: without permission nothing committed goes; it is asked again") {
    WriteGateBench bench;
    bool permitted = false;
    unsigned asked = 0;
    bench.gate.require_permit([&] {
        ++asked;
        return permitted;
    });
    bench.gate.hold();
    bench.commit(1);
    CHECK(asked == 0);  // there is nothing to write
    bench.write(1);
    bench.gate.close_epoch(2);
    bench.commit(2);
    CHECK(asked == 1);
    CHECK_FALSE(bench.on_disk(1));
    bench.write(2);  // of the epoch under way
    permitted = true;
    SECTION("when there is an answer") {
        bench.loop.run_sync([&] { bench.gate.ask_again(); });
    }
    SECTION("at a later commit") {
        bench.commit(3);
    }
    CHECK(bench.on_disk(1));
    CHECK_FALSE(bench.on_disk(2));
}

TEST_CASE("write gate: the next connection counts its epochs anew") {
    WriteGateBench bench;
    bench.gate.require_permit([] { return true; });
    bench.gate.hold();
    bench.commit(100);
    bench.gate.open();
    bench.gate.hold();
    bench.write(1);
    bench.gate.close_epoch(1);
    bench.loop.run_sync([&] { bench.gate.ask_again(); });
    CHECK_FALSE(bench.on_disk(1));
    bench.commit(1);
    CHECK(bench.on_disk(1));
}

TEST_CASE("write gate: flushes are held too where they are output") {
    WriteGateBench bench(WriteGate::Holds::flushes_too);
    bench.submit(BlockOp::flush, 1);
    CHECK(bench.completed == Numbers{1});  // nothing is held yet
    bench.gate.hold();
    bench.submit(BlockOp::flush, 2);
    CHECK(bench.gate.waiting_since());
    bench.submit(BlockOp::read, 3);
    CHECK(bench.completed == Numbers{1, 3});
    bench.gate.close_epoch(1);
    bench.commit(1);
    CHECK(bench.completed == Numbers{1, 3, 2});
}
