// SPDX-License-Identifier: Apache-2.0
// virtio 1.2, 5.2.6: every request type and every refusal, as values; no device, no disk.
#include "devices/block/block_request.h"

#include <catch2/catch.hpp>

#include "support/block_driver.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

constexpr std::uint64_t disk_sectors = 1024;

BlockLimits usual_limits() {
    BlockLimits limits;
    limits.capacity = disk_sectors * sector_size;
    limits.segments_max = 4;
    limits.transfer_bytes_max = 64 * kib;
    limits.discard_bytes_max = 128 * kib;
    return limits;
}

struct RequestBench {
    GuestRam ram{512 * kib};
    FakeQueue queue{ram, 64};
    BlockDriver driver{queue};
    BlockLimits limits = usual_limits();
    Virtqueue device{ram.memory(), state()};

    Virtqueue::State state() const {
        Virtqueue::State fresh;
        fresh.layout = queue.layout();
        return fresh;
    }
    // Parses the request that was submitted last.
    bool parse(BlockRequest& request) {
        std::optional<DescriptorChain> chain = device.pop();
        REQUIRE(chain);
        const bool parsed = parse_block_request(ram.memory(), *chain, limits, request);
        chain->abandon();
        CHECK(ram.take_dirty_pages().empty());
        return parsed;
    }
    BlockRequest parsed() {
        BlockRequest request;
        REQUIRE(parse(request));
        return request;
    }
    DiskRequest disk_request() {
        BlockRequest request = parsed();
        REQUIRE(std::holds_alternative<DiskRequest>(request.body));
        return std::get<DiskRequest>(request.body);
    }
    VirtioBlkStatus refusal() {
        const BlockRequest request = parsed();
        REQUIRE(std::holds_alternative<RefusedRequest>(request.body));
        return std::get<RefusedRequest>(request.body).status;
    }
    BlockDriver::Buffer buffer(std::uint32_t length) { return {ram.take(length), length}; }
};

}  // namespace

TEST_CASE("block request: read", "[block]") {
    RequestBench bench;
    const auto sent = bench.driver.read(3, 1024);
    const BlockRequest request = bench.parsed();
    CHECK(request.status_address == sent.status);
    const auto& disk = std::get<DiskRequest>(request.body);
    CHECK(disk.op == BlockOp::read);
    CHECK(disk.offset == 3 * 512);
    CHECK(disk.length == 1024);
    REQUIRE(disk.data.size() == 1);
    CHECK(disk.data[0].address == sent.data);
    CHECK(disk.data[0].length == 1024);
}

TEST_CASE("block request: write", "[block]") {
    RequestBench bench;
    const auto sent = bench.driver.write(disk_sectors - 1, Bytes(512));
    const DiskRequest disk = bench.disk_request();
    CHECK(disk.op == BlockOp::write);
    CHECK(disk.offset == (disk_sectors - 1) * 512);
    CHECK(disk.length == 512);
    REQUIRE(disk.data.size() == 1);
    CHECK(disk.data[0].address == sent.data);
}

TEST_CASE("block request: header and data in whatever pieces (2.7.4.3)", "[block]") {
    RequestBench bench;
    const GuestAddress bytes = bench.ram.take(16 + 512);
    bench.ram.poke(bytes, std::uint32_t{blk_out});
    bench.ram.poke(bytes + 8, std::uint64_t{7});
    const GuestAddress status = bench.ram.take(1);
    bench.queue.chain()
        .readable_at(bytes, 1)
        .readable_at(bytes + 1, 14)
        .readable_at(bytes + 15, 101)  // the header's last byte and the first 100 of the data
        .readable_at(bytes + 116, 412)
        .writable_at(status, 1)
        .submit();
    const DiskRequest disk = bench.disk_request();
    CHECK(disk.offset == 7 * 512);
    CHECK(disk.length == 512);
    REQUIRE(disk.data.size() == 2);
    CHECK(disk.data[0].address == bytes + 16);
    CHECK(disk.data[0].length == 100);
}

TEST_CASE("block request: the status is the very last writable byte", "[block]") {
    RequestBench bench;
    const GuestAddress data = bench.ram.take(1025);
    const GuestAddress header = bench.ram.take(16);
    bench.queue.chain().readable_at(header, 16).writable_at(data, 513).submit();
    const BlockRequest request = bench.parsed();
    CHECK(request.status_address == data + 512);
    CHECK(total_length(std::get<DiskRequest>(request.body).data) == 512);
}

TEST_CASE("block request: no room for a status", "[block][hostile]") {
    RequestBench bench;
    BlockRequest request;
    bench.queue.chain().readable(Bytes(16)).submit();
    CHECK_FALSE(bench.parse(request));
}

TEST_CASE("block request: flush and identify", "[block]") {
    RequestBench bench;
    bench.driver.flush();
    const DiskRequest flush = bench.disk_request();
    CHECK(flush.op == BlockOp::flush);
    CHECK(flush.length == 0);
    const auto sent = bench.driver.get_id(20);
    const BlockRequest request = bench.parsed();
    const auto& identify = std::get<IdentifyRequest>(request.body);
    CHECK(total_length(identify.data) == 20);
    CHECK(identify.data[0].address == sent.data);
}

TEST_CASE("block request: discard and write zeroes", "[block]") {
    RequestBench bench;
    bench.driver.discard(8, 16);
    DiskRequest disk = bench.disk_request();
    CHECK(disk.op == BlockOp::discard);
    CHECK(disk.offset == 8 * 512);
    CHECK(disk.length == 16 * 512);
    CHECK(disk.data.empty());
    bench.driver.write_zeroes(0, 256);
    disk = bench.disk_request();
    CHECK(disk.op == BlockOp::write_zeroes);
    CHECK(disk.length == bench.limits.discard_bytes_max);
    CHECK_FALSE(disk.may_unmap);
    bench.driver.write_zeroes(0, 1, 1);
    CHECK(bench.disk_request().may_unmap);
}

TEST_CASE("block request: transfers outside the disk", "[block][hostile]") {
    struct Case {
        std::uint64_t sector;
        std::uint32_t length;
    };
    const auto bad = GENERATE(values<Case>({{disk_sectors, 512},
                                            {disk_sectors - 1, 1024},
                                            {disk_sectors + 1, 512},
                                            {~0ULL, 512},
                                            {~0ULL >> 9, 512},
                                            {(~0ULL >> 9) + 1, 512},
                                            {1ULL << 55, 512}}));
    RequestBench bench;
    SECTION("read") {
        bench.driver.read(bad.sector, bad.length);
    }
    SECTION("write") {
        bench.driver.write(bad.sector, Bytes(bad.length));
    }
    SECTION("discard") {
        bench.driver.discard(bad.sector, bad.length / 512);
    }
    SECTION("write zeroes") {
        bench.driver.write_zeroes(bad.sector, bad.length / 512);
    }
    CHECK(bench.refusal() == VirtioBlkStatus::io_error);
}

TEST_CASE("block request: transfers of no or odd length", "[block][hostile]") {
    RequestBench bench;
    SECTION("read of nothing") {
        bench.driver.raw(blk_in, 0, {}, {});
    }
    SECTION("write of nothing") {
        bench.driver.raw(blk_out, 0, {}, {});
    }
    SECTION("half a sector") {
        bench.driver.read(0, 256);
    }
    SECTION("a sector and a byte") {
        bench.driver.write(0, Bytes(513));
    }
    SECTION("discard of nothing") {
        bench.driver.discard(0, 0);
    }
    SECTION("zeroes of nothing") {
        bench.driver.write_zeroes(0, 0);
    }
    CHECK(bench.refusal() == VirtioBlkStatus::io_error);
}

TEST_CASE("block request: transfers beyond the limits", "[block][hostile]") {
    RequestBench bench;
    SECTION("bytes") {
        bench.driver.read_to(0, GuestAddress(0), 64 * kib + 512);
    }
    SECTION("segments") {
        std::vector<BlockDriver::Buffer> pieces;
        for (int i = 0; i < 5; ++i)
            pieces.push_back(bench.buffer(512));
        bench.driver.raw(blk_in, 0, {}, pieces);
    }
    SECTION("discard") {
        bench.driver.discard(0, 257);
    }
    SECTION("zeroes") {
        bench.driver.write_zeroes(0, 257);
    }
    SECTION("a discard of 2 TiB") {
        bench.driver.discard(0, 0xffffffff);
    }
    CHECK(bench.refusal() == VirtioBlkStatus::io_error);
}

TEST_CASE("block request: the block size binds offset and length", "[block]") {
    RequestBench bench;
    bench.limits.block_size = 4096;
    SECTION("offset") {
        bench.driver.read(1, 4096);
    }
    SECTION("length") {
        bench.driver.write(8, Bytes(512));
    }
    SECTION("discard") {
        bench.driver.discard(8, 9);
    }
    SECTION("zeroes") {
        bench.driver.write_zeroes(4, 8);
    }
    CHECK(bench.refusal() == VirtioBlkStatus::io_error);
    bench.driver.read(8, 8192);
    CHECK(bench.disk_request().offset == 4096);
}

TEST_CASE("block request: a read-only disk", "[block]") {
    RequestBench bench;
    bench.limits.read_only = true;
    bench.driver.write(0, Bytes(512));
    CHECK(bench.refusal() == VirtioBlkStatus::io_error);
    bench.driver.discard(0, 8);
    CHECK(bench.refusal() == VirtioBlkStatus::io_error);
    bench.driver.write_zeroes(0, 8);
    CHECK(bench.refusal() == VirtioBlkStatus::io_error);
    bench.driver.read(0, 512);
    CHECK(bench.disk_request().op == BlockOp::read);
    bench.driver.flush();
    CHECK(bench.disk_request().op == BlockOp::flush);
}

TEST_CASE("block request: unknown types and flags are unsupported", "[block][hostile]") {
    RequestBench bench;
    SECTION("type") {
        bench.driver.raw(GENERATE(values<std::uint32_t>({2, 3, 5, 7, 9, 10, 12, 14, 0xffffffff})),
                         0, {}, {});
    }
    SECTION("unmap on a discard") {
        bench.driver.discard(0, 8, 1);
    }
    SECTION("reserved flag of discard") {
        bench.driver.discard(0, 8, 2);
    }
    SECTION("reserved flag of write zeroes") {
        bench.driver.write_zeroes(0, 8, 3);
    }
    SECTION("more ranges than one") {
        bench.driver.raw(blk_discard, 0, {bench.buffer(32)}, {});
    }
    CHECK(bench.refusal() == VirtioBlkStatus::unsupported);
}

TEST_CASE("block request: cut short", "[block][hostile]") {
    RequestBench bench;
    SECTION("no header at all") {
        bench.queue.chain().writable(1).submit();
    }
    SECTION("half a header") {
        bench.queue.chain().readable(Bytes(15)).writable(1).submit();
    }
    SECTION("half a range") {
        bench.driver.raw(blk_discard, 0, {bench.buffer(15)}, {});
    }
    SECTION("no range") {
        bench.driver.raw(blk_write_zeroes, 0, {}, {});
    }
    CHECK(bench.refusal() == VirtioBlkStatus::io_error);
}
