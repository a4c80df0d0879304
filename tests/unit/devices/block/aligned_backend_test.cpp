// SPDX-License-Identifier: Apache-2.0
#include "devices/block/aligned_backend.h"

#include <catch2/catch.hpp>

#include "base/units.h"
#include "devices/block/uring_backend.h"
#include "support/block_bench.h"
#include "support/boot_images.h"
#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

struct Owner : BlockOperationOwner {
    void complete(BlockOperation& operation, BlockStatus status) override {
        completed.emplace_back(&operation, status);
    }
    std::vector<std::pair<BlockOperation*, BlockStatus>> completed;
};

struct AlignedBench {
    AlignedBench() {
        const Bytes start = noise(16 * kib);
        std::copy(start.begin(), start.end(), disk.image->begin());
        EventLoop loop;
        backend.emplace(disk.maker()(loop), 4096);
        disk.backend->judge([this](const BlockOperation& operation) {
            seen.push_back(&operation);
            aligned =
                aligned &&
                std::all_of(operation.buffers.begin(), operation.buffers.end(),
                            [](const iovec& buffer) {
                                const auto at = reinterpret_cast<std::uintptr_t>(buffer.iov_base);
                                return is_aligned(at, 4096) && is_aligned(buffer.iov_len, 512);
                            });
            return verdict;
        });
    }
    BlockOperation operation(BlockOp op, std::uint64_t offset,
                             std::initializer_list<std::span<std::uint8_t>> buffers) {
        BlockOperation made;
        made.op = op;
        made.offset = offset;
        made.owner = &owner;
        for (const auto& buffer : buffers) {
            made.buffers.push_back({buffer.data(), buffer.size()});
            made.length += buffer.size();
        }
        return made;
    }
    std::span<std::uint8_t> part(std::size_t offset, std::size_t length) {
        return {aligned_memory + offset, length};
    }

    MemoryDisk disk{8 * mib};
    Owner owner;
    std::vector<const BlockOperation*> seen;
    std::optional<BlockStatus> verdict;
    bool aligned = true;
    alignas(4096) std::uint8_t aligned_memory[16 * 1024] = {};
    std::optional<AlignedBackend> backend;
};

}  // namespace

TEST_CASE("aligned: describes the disk behind it", "[block][aligned]") {
    AlignedBench bench;
    CHECK(bench.backend->capacity() == 8 * mib);
    CHECK(bench.backend->block_size() == 512);
    CHECK_FALSE(bench.backend->read_only());
}

TEST_CASE("aligned: what is aligned passes as it is", "[block][aligned]") {
    AlignedBench bench;
    auto read = bench.operation(BlockOp::read, 512, {bench.part(0, 4096), bench.part(8192, 512)});
    bench.backend->submit(read);
    BlockOperation flush = bench.operation(BlockOp::flush, 0, {});
    bench.backend->submit(flush);
    CHECK(bench.seen == std::vector<const BlockOperation*>{&read, &flush});
    REQUIRE(bench.owner.completed.size() == 2);
    CHECK(std::equal(bench.aligned_memory, bench.aligned_memory + 4096,
                     bench.disk.image->begin() + 512));
}

TEST_CASE("aligned: what is not goes through a copy", "[block][aligned]") {
    AlignedBench bench;
    SECTION("address") {
        auto read = bench.operation(BlockOp::read, 1024, {bench.part(1, 1024)});
        bench.backend->submit(read);
        REQUIRE(bench.owner.completed.size() == 1);
        CHECK(bench.owner.completed[0] == std::pair{&read, BlockStatus::ok});
        CHECK(std::equal(bench.aligned_memory + 1, bench.aligned_memory + 1025,
                         bench.disk.image->begin() + 1024));
        CHECK(bench.aligned_memory[0] == 0);
        CHECK(bench.aligned_memory[1025] == 0);
    }
    SECTION("length of a part") {
        auto read = bench.operation(BlockOp::read, 0, {bench.part(0, 100), bench.part(4096, 412)});
        bench.backend->submit(read);
        CHECK(std::equal(bench.aligned_memory, bench.aligned_memory + 100,
                         bench.disk.image->begin()));
        CHECK(std::equal(bench.aligned_memory + 4096, bench.aligned_memory + 4508,
                         bench.disk.image->begin() + 100));
    }
    SECTION("write") {
        const Bytes data = noise(512, 5);
        std::copy(data.begin(), data.end(), bench.aligned_memory + 3);
        auto write =
            bench.operation(BlockOp::write, 512, {bench.part(3, 500), bench.part(503, 12)});
        bench.backend->submit(write);
        CHECK(std::equal(data.begin(), data.end(), bench.disk.image->begin() + 512));
        CHECK(bench.owner.completed.size() == 1);
    }
    CHECK(bench.aligned);
    CHECK(bench.seen.size() == 1);
}

TEST_CASE("aligned: errors pass, and a failed read fills nothing", "[block][aligned]") {
    AlignedBench bench;
    bench.verdict = BlockStatus::io_error;
    auto read = bench.operation(BlockOp::read, 0, {bench.part(1, 512)});
    bench.backend->submit(read);
    REQUIRE(bench.owner.completed.size() == 1);
    CHECK(bench.owner.completed[0].second == BlockStatus::io_error);
    CHECK(std::count(bench.aligned_memory, bench.aligned_memory + 1024, 0) == 1024);
}

TEST_CASE("aligned: copies have a budget; what exceeds it waits its turn", "[block][aligned]") {
    AlignedBench bench;
    bench.disk.backend->hold(true);
    Bytes memory(4 * mib + 1);
    std::vector<BlockOperation> operations;
    for (int i = 0; i < 20; ++i) {
        operations.push_back(
            bench.operation(BlockOp::read, 0, {std::span(memory.data() + 1, 4 * mib)}));
    }
    for (BlockOperation& operation : operations)
        bench.backend->submit(operation);
    CHECK(bench.disk.backend->held().size() == 16);  // 64 MiB
    auto small = bench.operation(BlockOp::read, 0, {bench.part(1, 512)});
    bench.backend->submit(small);  // does not overtake
    CHECK(bench.disk.backend->held().size() == 16);
    auto passing = bench.operation(BlockOp::read, 0, {bench.part(0, 512)});
    bench.backend->submit(passing);  // needs no copy
    CHECK(bench.disk.backend->held().size() == 17);

    bench.verdict = BlockStatus::io_error;  // spares the copying
    bench.disk.backend->release(0);
    bench.backend->poll_completions();
    CHECK(bench.owner.completed.size() == 1);
    CHECK(bench.disk.backend->held().size() == 17);  // the next one came in
    bench.disk.backend->hold(false);
    bench.disk.backend->release_all();
    bench.backend->poll_completions();
    CHECK(bench.owner.completed.size() == operations.size() + 2);
}

TEST_CASE("aligned: what waits for a copy can be withdrawn", "[block][aligned]") {
    AlignedBench bench;
    bench.disk.backend->hold(true);
    Bytes memory(60 * mib + 1);
    auto large = bench.operation(BlockOp::read, 0, {std::span(memory.data() + 1, 60 * mib)});
    auto waiting = bench.operation(BlockOp::read, 0, {std::span(memory.data() + 1, 8 * mib)});
    bench.verdict = BlockStatus::unsupported;  // spares the reading
    bench.backend->submit(large);
    bench.backend->submit(waiting);
    bench.backend->withdraw();
    REQUIRE(bench.owner.completed.size() == 1);
    CHECK(bench.owner.completed[0] == std::pair{&waiting, BlockStatus::io_error});
    CHECK(bench.disk.backend->withdrawals() == 1);
    bench.disk.backend->release_all();
    bench.backend->poll_completions();
    REQUIRE(bench.owner.completed.size() == 2);
    CHECK(bench.owner.completed[1] == std::pair{&large, BlockStatus::unsupported});
}

TEST_CASE("aligned: direct I/O with a guest's odd buffers", "[block][aligned][uring]") {
    const TempFile file(1 * mib);
    auto image = DiskImage::open(file.path(), {.direct = true});
    if (!image.ok()) {
        WARN("no direct I/O here; skipped: " + image.error().message());
        return;
    }
    const std::uint32_t alignment = image.value().memory_alignment;
    const std::uint32_t block = image.value().block_size;
    BlockBench bench(
        [&](EventLoop& loop) {
            return std::make_unique<AlignedBackend>(
                UringBackend::create(loop, std::move(image).value()).value(), alignment);
        },
        {});
    bench.activate();
    const Bytes data = noise(2 * block);
    const GuestAddress odd = bench.ram.take(4 * block, page_size) + 5;
    bench.ram.poke_bytes(odd, data);
    const auto write = bench.driver.write_from(block / 512, odd, 2 * block);
    const auto zeroes = bench.driver.write_zeroes(10 * block / 512, block / 512);
    REQUIRE(bench.pump_until_returned(2));
    CHECK(bench.driver.status(write) == blk_ok);
    CHECK(bench.driver.status(zeroes) == blk_ok);
    bench.ram.poke_bytes(odd, Bytes(2 * block));
    const auto read = bench.driver.read_to(block / 512, odd, 2 * block);
    REQUIRE(bench.pump_until_returned(3));
    CHECK(bench.driver.status(read) == blk_ok);
    CHECK(bench.driver.data(read) == data);
}
