// SPDX-License-Identifier: Apache-2.0
#include "replay/apply/replayer.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <thread>

#include "devices/block/uring_backend.h"
#include "support/replayer_bench.h"
#include "support/slow_disk.h"
#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

TEST_CASE("replayer: disjoint records go side by side, overlapping ones in order") {
    ReplayerBench bench;
    Records records;
    for (std::uint8_t i = 0; i < 10; ++i)
        records.write(i, i);
    records.write(4, 40, 1024);
    records.write(5, 50);
    records.write(5, 51).disk = 1;
    REQUIRE(bench.replay(records) == "");
    CHECK(bench.disks[0]->waves.at(1) == 10);  // the first look is before any
    for (const std::uint64_t sector : {0, 1, 2, 3, 6, 7, 8, 9})
        CHECK(bench.on_disk(sector) == sector);
    CHECK(bench.on_disk(4) == 40);
    CHECK(bench.on_disk(5) == 50);
    CHECK(bench.on_disk(5, 1) == 51);
}

TEST_CASE("replayer: no more in flight than a disk can work on, however long the log is") {
    ReplayerBench bench;
    Records records;
    for (std::uint64_t sector = 0; sector < replay_disk_bytes / sector_size; ++sector)
        records.write(sector, static_cast<std::uint8_t>(sector + 1));
    CHECK(bench.replay(records).empty());
    CHECK(std::ranges::max(bench.disks[0]->waves) == 64);
    for (std::uint64_t sector = 0; sector < replay_disk_bytes / sector_size; ++sector)
        CHECK(bench.on_disk(sector) == static_cast<std::uint8_t>(sector + 1));
}

TEST_CASE("replayer: discards and write zeroes leave zeroes, what failed leaves nothing") {
    ReplayerBench bench;
    Records records;
    records.write(1, 1, 8 * 512);
    records.add(BlockOp::discard, 2, 512);
    records.add(BlockOp::write_zeroes, 4, 512);
    records.add(BlockOp::write, 5, 512).failed = true;
    std::vector<BlockOp> ops;
    bench.disks[0]->judge([&ops](const BlockOperation& operation) -> std::optional<BlockStatus> {
        ops.push_back(operation.op);
        if (operation.op == BlockOp::discard) return BlockStatus::unsupported;
        CHECK((operation.op != BlockOp::write_zeroes || operation.may_unmap) ==
              (operation.offset != 4 * 512));
        return std::nullopt;
    });
    REQUIRE(bench.replay(records) == "");
    CHECK(ops.size() == 3);
    CHECK(bench.on_disk(1) == 1);
    CHECK(bench.on_disk(2) == 0);
    CHECK(bench.on_disk(3) == 1);
    CHECK(bench.on_disk(4) == 0);
    CHECK(bench.on_disk(5) == 1);
}

namespace {

// Takes a while for zeroes: one operation is done each time it is asked.
class ZeroingDisk : public BlockBackend {
  public:
    std::uint64_t capacity() const override { return 8 * gib; }
    std::uint32_t block_size() const override { return sector_size; }
    bool read_only() const override { return false; }
    void submit(BlockOperation& operation) override {
        at_once = std::max(at_once, operation.length);
        bytes += operation.length;
        in_flight_ += operation.length;
        side_by_side = std::max(side_by_side, in_flight_);
        queue_.push_back(&operation);
    }
    void flush_submissions() override {}
    bool poll_completions() override {
        if (queue_.empty()) return false;
        BlockOperation* const done = queue_.front();
        queue_.pop_front();
        in_flight_ -= done->length;
        done->owner->complete(*done, BlockStatus::ok);
        return true;
    }
    void withdraw() override {}

    std::uint64_t at_once = 0;
    std::uint64_t side_by_side = 0;
    std::uint64_t bytes = 0;

  private:
    std::deque<BlockOperation*> queue_;
    std::uint64_t in_flight_ = 0;
};

}  // namespace

TEST_CASE(
    "replayer: zeroes go in pieces, so that a disk that is slow with them shows that it works") {
    ZeroingDisk disk;
    Replayer replayer(nullptr, {&disk});
    Records records;
    for (std::uint64_t i = 0; i < 4; ++i)
        records.add(i % 2 == 0 ? BlockOp::discard : BlockOp::write_zeroes,
                    i * (2 * gib / sector_size), gib + 512);
    for (const BlockRecord& record : records.list)
        REQUIRE(replayer.check(record).ok());
    REQUIRE(replayer.replay(records.list).ok());
    CHECK(disk.bytes == 4 * (gib + 512));
    CHECK(disk.at_once <= 16 * mib);
    CHECK(disk.side_by_side <= 64 * mib);
}

TEST_CASE("replayer: a write from a page waits for the read that fills it, on whatever disk") {
    ReplayerBench bench;
    const GuestAddress page = bench.ram.take(page_size, page_size);
    std::fill_n(bench.images[1]->begin(), page_size, std::uint8_t{0x77});
    Records records;
    records.read_to(page, 0, Bytes(page_size, 0x77)).disk = 1;
    records.write_from(page + 512, 9, Bytes(512, 0x77));
    records.read_to(page, 16, Bytes(page_size, 0xdd));  // another read waits for the write
    REQUIRE(bench.replay(records) == "");
    CHECK(bench.on_disk(9) == 0x77);
    CHECK(bench.ram.peek_bytes(page, page_size) == Bytes(page_size, 0xdd));
}

TEST_CASE("replayer: a read waits for the write before it") {
    ReplayerBench bench;
    const GuestAddress page = bench.ram.take(page_size, page_size);
    Records records;
    records.write(0, 5, page_size);
    records.read_to(page, 0, Bytes(page_size, 5));
    records.write(0, 6, page_size);
    CHECK(bench.replay(records) == "");
    CHECK(bench.on_disk(0) == 6);
}

TEST_CASE("replayer: bytes that are not the primary's make this side unfit, for good") {
    ReplayerBench bench;
    Records records;
    SECTION("in the payload of a write") {
        records.write(3, 1).digest ^= 1;
        records.write(4, 2);
        CHECK_THAT(bench.replay(records), Catch::Contains("disk 0") &&
                                              Catch::Contains("record 1:") &&
                                              Catch::Contains("byte 1536"));
        CHECK(bench.on_disk(3) == 0xdd);  // verified before it is carried out
        CHECK(bench.on_disk(4) == 0xdd);
    }
    SECTION("in guest RAM") {
        records.write_from(bench.ram.take(512), 3, Bytes(512, 1)).disk = 1;
        CHECK_THAT(bench.replay(records), Catch::Contains("disk 1"));
    }
    SECTION("on the disk") {
        records.read_to(bench.ram.take(page_size, page_size), 8, Bytes(page_size, 1));
        CHECK_THAT(bench.replay(records),
                   Catch::Contains("disk 0: holds other bytes") && Catch::Contains("record 1,"));
    }
    const std::size_t before = bench.disks[0]->submitted();
    Records more;
    more.write(9, 9);
    CHECK(bench.replay(more) != "");
    CHECK_FALSE(bench.replayer->sync().ok());
    CHECK_FALSE(bench.replayer->wait_all().ok());
    CHECK(bench.on_disk(9) == 0xdd);
    CHECK(bench.disks[0]->submitted() == before);
}

TEST_CASE("replayer: an I/O error makes this side unfit") {
    for (const BlockStatus status : {BlockStatus::io_error, BlockStatus::unsupported}) {
        ReplayerBench bench;
        bench.disks[1]->judge([status](const BlockOperation&) { return status; });
        Records records;
        records.write(1, 1);
        records.write(2, 2).disk = 1;
        CHECK_THAT(bench.replay(records),
                   Catch::Contains("disk 1") && Catch::Contains("record 2, byte 1024"));
        CHECK(bench.on_disk(1) == 1);
    }
}

TEST_CASE("replayer: a disk that does not answer is not waited for for ever") {
    ReplayerBench bench(std::chrono::milliseconds(20));
    bench.disks[0]->answers = false;
    Records records;
    records.write(1, 1);
    records.write(1, 2);
    CHECK_THAT(bench.replay(records), Catch::Contains("disk 0: does not answer"));
    CHECK_FALSE(bench.replayer->sync().ok());
    bench.disks[0]->answers = true;
    bench.disks[0]->poll_completions();
    CHECK(bench.on_disk(1) == 1);
}

TEST_CASE("replayer: without RAM reads are verified and nothing may refer to it") {
    SharedImage image = std::make_shared<Bytes>(replay_disk_bytes, std::uint8_t{0xdd});
    MemoryBackend disk(image);
    Replayer replayer(nullptr, {&disk});
    Records records;
    ByteWriter digests;
    digests.u64(digest_of(Bytes(page_size, 0xdd)));
    digests.u64(digest_of(Bytes(512, 0xdd)));
    records.add(BlockOp::read, 1, page_size + 512).digest = digest_of(digests.bytes());
    CHECK(replayer.replay(records.list).ok());
    CHECK_FALSE(replayer.check(records.write_from(GuestAddress(0), 1, Bytes(512))).ok());
    Records wrong;
    wrong.add(BlockOp::read, 1, page_size).digest = 1;
    CHECK_FALSE(replayer.replay(wrong.list).ok());
}

TEST_CASE("replayer: changes that were carried out already change nothing when repeated") {
    std::mt19937_64 random(11);
    for (unsigned round = 0; round < 200; ++round) {
        Records records;
        for (unsigned i = 0; i < 30; ++i) {
            const std::uint64_t sectors = 1 + random() % 12;
            const std::uint64_t sector = random() % (replay_disk_bytes / sector_size - sectors);
            if (random() % 4 == 0) {
                records.add(random() % 2 == 0 ? BlockOp::discard : BlockOp::write_zeroes, sector,
                            sectors * sector_size);
            } else {
                records.write(sector, static_cast<std::uint8_t>(i + 1), sectors * sector_size);
            }
        }
        SharedImage image = std::make_shared<Bytes>(replay_disk_bytes);
        SlowDisk disk(image, round, {.works_when_polled = true});
        Replayer replayer(nullptr, {&disk});
        REQUIRE(replayer.replay(records.list).ok());
        const Bytes once = *image;
        const std::size_t from = random() % records.list.size();
        REQUIRE(replayer.replay(std::span<const BlockRecord>(records.list).subspan(from)).ok());
        CHECK((*image == once));
    }
}

TEST_CASE("replayer: on an image that became shorter it fails, with real I/O") {
    TempFile file(replay_disk_bytes);
    EventLoop loop;
    auto backend = UringBackend::create(loop, DiskImage::open(file.path(), {}).value()).value();
    GuestRam ram;
    Replayer replayer(&ram.memory(), {backend.get()});
    Records records;
    for (std::uint8_t i = 0; i < 100; ++i)
        records.write(i, i);
    records.add(BlockOp::discard, 50, 512);
    records.add(BlockOp::flush, 0, 0);
    const GuestAddress page = ram.take(page_size, page_size);
    Bytes expected;
    for (std::uint8_t i = 8; i < 16; ++i)
        expected.insert(expected.end(), 512, i);
    records.read_to(page, 8, expected);
    REQUIRE(replayer.replay(records.list).ok());
    REQUIRE(replayer.sync().ok());
    CHECK(ram.peek_bytes(page, page_size) == expected);
    const Bytes image = file.read_all();
    for (std::uint8_t i = 0; i < 100; ++i)
        CHECK(image[i * sector_size] == (i == 50 ? 0 : i));
    file.resize(4096);
    Records more;
    more.read_to(page, 8, expected);
    const Result<void> failed = replayer.replay(more.list);
    REQUIRE_FALSE(failed.ok());
    CHECK_THAT(failed.error().message(), Catch::Contains("cannot carry out"));
}
