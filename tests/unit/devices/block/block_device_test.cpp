// SPDX-License-Identifier: Apache-2.0
// virtio-blk from the driver's side, over a disk in memory: what each request does to disk, guest
// memory and dirty marks, and that it does nothing else.
#include "devices/block/block_device.h"

#include <catch2/catch.hpp>
#include <map>

#include "base/little_endian.h"
#include "support/block_device_bench.h"
#include "support/virtio_conformance.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

void undo(Bytes& after, const Bytes& before, GuestAddress address, std::uint64_t length) {
    const auto at = static_cast<std::ptrdiff_t>(address.value());
    std::copy_n(before.begin() + at, length, after.begin() + at);
}

Bytes slice(const Bytes& bytes, std::uint64_t offset, std::uint64_t length) {
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(offset);
    return {begin, begin + static_cast<std::ptrdiff_t>(length)};
}

// Writes each request's number into a sector of its own.
class BlockSubject : public ConformanceSubject {
  public:
    std::unique_ptr<VirtioDevice> make(GuestMemory& memory, EventLoop& loop) override {
        return std::make_unique<BlockDevice>(memory, loop, disk_.maker()(loop), "conformance");
    }
    std::uint16_t submit(FakeQueue& queue) override {
        BlockDriver driver(queue);
        driver.use_indirect(next_ % 2 == 1);
        const auto request = driver.write(next_, Bytes(512, static_cast<std::uint8_t>(next_)));
        sectors_[request.head] = {next_++, request.status};
        return request.head;
    }
    void check(FakeQueue& queue, const UsedElement& element) override {
        const auto [sector, status] = sectors_.at(static_cast<std::uint16_t>(element.head));
        CHECK(queue.ram().peek<std::uint8_t>(status) == blk_ok);
        CHECK((*disk_.image)[sector * 512] == static_cast<std::uint8_t>(sector));
    }

  private:
    struct Sent {
        std::uint64_t sector;
        GuestAddress status;
    };
    MemoryDisk disk_;
    std::uint64_t next_ = 1;
    std::map<std::uint16_t, Sent> sectors_;
};

}  // namespace

TEST_CASE("block device: conformance", "[block][conformance]") {
    BlockSubject subject;
    check_virtio_conformance(subject);
}

TEST_CASE("block device: what it tells about itself", "[block]") {
    BlockDeviceBench bench({.serial = "x"}, {.block_size = 4096});
    const auto config = bench.device.config();
    CHECK(bench.device.device_id() == 2);
    CHECK(load_le<std::uint64_t>(config, 0) == 2048);             // capacity
    CHECK(load_le<std::uint32_t>(config, 12) == 254);             // seg_max
    CHECK(load_le<std::uint32_t>(config, 20) == 4096);            // blk_size
    CHECK(load_le<std::uint32_t>(config, 36) == 16 * mib / 512);  // max_discard_sectors
    CHECK(load_le<std::uint32_t>(config, 40) == 1);               // max_discard_seg
    CHECK(load_le<std::uint32_t>(config, 44) == 8);               // discard_sector_alignment
    CHECK((bench.device.features() & blk_f_discard) != 0);
    CHECK((bench.device.features() & blk_f_read_only) == 0);

    BlockDeviceBench read_only({}, {.read_only = true});
    CHECK((read_only.device.features() & blk_f_discard) == 0);
    CHECK((read_only.device.features() & blk_f_read_only) != 0);
}

TEST_CASE("block device: a read fills the buffer and nothing else", "[block]") {
    BlockDeviceBench bench;
    const auto request = bench.driver.read(5, 1536);
    const Bytes before = bench.all_ram();
    bench.pump();
    CHECK(bench.driver.status(request) == blk_ok);
    CHECK(bench.driver.data(request) == slice(bench.original, 5 * 512, 1536));
    CHECK(bench.queue.take_used() == std::vector<UsedElement>{{request.head, 1537}});
    CHECK(bench.transport.interrupts == 1);
    bench.expect_image(0, {});

    Bytes after = bench.all_ram();
    const QueueLayout rings = bench.queue.layout();
    undo(after, before, request.data, request.length);
    undo(after, before, request.status, 1);
    undo(after, before, rings.used, 6 + rings.size * 8ULL);
    CHECK((after == before));
}

TEST_CASE("block device: a write changes its sectors and nothing else", "[block]") {
    BlockDeviceBench bench;
    const Bytes data = noise(1024, 2);
    const auto request = bench.driver.write(100, data);
    bench.pump();
    CHECK(bench.driver.status(request) == blk_ok);
    CHECK(bench.queue.take_used() == std::vector<UsedElement>{{request.head, 1}});
    bench.expect_image(100 * 512, data);
}

TEST_CASE("block device: discard, write zeroes, flush", "[block]") {
    BlockDeviceBench bench;
    const auto zeroes = bench.driver.write_zeroes(8, 4);
    const auto discard = bench.driver.discard(12, 2);
    const auto flush = bench.driver.flush();
    bench.pump();
    CHECK(bench.driver.status(zeroes) == blk_ok);
    CHECK(bench.driver.status(discard) == blk_ok);
    CHECK(bench.driver.status(flush) == blk_ok);
    bench.expect_image(8 * 512, Bytes(6 * 512));
}

TEST_CASE("block device: the serial number, padded with zeroes", "[block]") {
    BlockDeviceBench bench({.serial = "disk-7"});
    const auto exact = bench.driver.get_id(20);
    const auto large = bench.driver.get_id(30);
    const auto small = bench.driver.get_id(19);
    bench.pump();
    Bytes id(20);
    std::copy_n("disk-7", 6, id.begin());
    CHECK(bench.driver.status(exact) == blk_ok);
    CHECK(bench.driver.data(exact) == id);
    CHECK(bench.driver.status(large) == blk_ok);
    CHECK(slice(bench.driver.data(large), 0, 20) == id);
    CHECK(bench.driver.status(small) == blk_io_error);
    CHECK(bench.driver.data(small) == Bytes(19));
    const auto used = bench.queue.take_used();
    REQUIRE(used.size() == 3);
    CHECK(used[0].written == 21);
    CHECK(used[2].written == 1);
}

TEST_CASE("block device: refused requests leave disk and buffers alone", "[block][hostile]") {
    BlockDeviceBench bench;
    const auto behind_end = bench.driver.read(2048, 512);
    const auto across_end = bench.driver.write(2047, Bytes(1024));
    const auto unknown = bench.driver.raw(77, 0, {}, {});
    bench.pump();
    CHECK(bench.driver.status(behind_end) == blk_io_error);
    CHECK(bench.driver.data(behind_end) == Bytes(512));
    CHECK(bench.driver.status(across_end) == blk_io_error);
    CHECK(bench.driver.status(unknown) == blk_unsupported);
    CHECK(bench.queue.take_used() ==
          std::vector<UsedElement>{{behind_end.head, 1}, {across_end.head, 1}, {unknown.head, 1}});
    CHECK(bench.backend->submitted() == 0);
    CHECK(bench.transport.interrupts == 1);
    bench.expect_image(0, {});
}

TEST_CASE("block device: writes to a read-only disk", "[block]") {
    BlockDeviceBench bench({}, {.read_only = true});
    const auto write = bench.driver.write(0, Bytes(512));
    const auto zeroes = bench.driver.write_zeroes(0, 1);
    const auto read = bench.driver.read(0, 512);
    bench.pump();
    CHECK(bench.driver.status(write) == blk_io_error);
    CHECK(bench.driver.status(zeroes) == blk_io_error);
    CHECK(bench.driver.status(read) == blk_ok);
    bench.expect_image(0, {});
}

TEST_CASE("block device: what the backend says becomes the status", "[block]") {
    BlockDeviceBench bench;
    bench.backend->judge([](const BlockOperation& operation) -> std::optional<BlockStatus> {
        if (operation.op == BlockOp::discard) return BlockStatus::unsupported;
        return BlockStatus::io_error;
    });
    const auto read = bench.driver.read(0, 512);
    const auto write = bench.driver.write(0, Bytes(512));
    const auto flush = bench.driver.flush();
    const auto discard = bench.driver.discard(0, 1);
    bench.pump();
    CHECK(bench.driver.status(read) == blk_io_error);
    CHECK(bench.driver.status(write) == blk_io_error);
    CHECK(bench.driver.status(flush) == blk_io_error);
    CHECK(bench.driver.status(discard) == blk_unsupported);
    for (const UsedElement& element : bench.queue.take_used())
        CHECK(element.written == 1);
    bench.backend->judge(nullptr);
    const auto again = bench.driver.read(0, 512);
    bench.pump();
    CHECK(bench.driver.status(again) == blk_ok);
}

TEST_CASE("block device: dirty marks are what a read wrote, the status and the used ring",
          "[block]") {
    BlockDeviceBench bench;
    const GuestAddress data = bench.ram.take(3 * page_size, page_size);
    bench.ram.take(1, page_size);  // the request's header and status lie behind a page boundary
    const auto request = bench.driver.read_to(0, data + 512, page_size);
    static_cast<void>(bench.ram.take_dirty_pages());
    bench.pump();
    CHECK(bench.driver.status(request) == blk_ok);
    CHECK(bench.ram.take_dirty_pages() ==
          std::vector<std::uint64_t>{page_of(bench.queue.layout().used), page_of(data),
                                     page_of(data) + 1, page_of(request.status)});
}

TEST_CASE("block device: a write dirties no more than the status and the used ring", "[block]") {
    BlockDeviceBench bench;
    const GuestAddress data = bench.ram.take(page_size, page_size);
    bench.ram.take(1, page_size);
    const auto request = bench.driver.write_from(0, data, 4096);
    static_cast<void>(bench.ram.take_dirty_pages());
    bench.pump();
    CHECK(bench.ram.take_dirty_pages() ==
          std::vector<std::uint64_t>{page_of(bench.queue.layout().used), page_of(request.status)});
}

TEST_CASE("block device: a read that the backend accounts for is not marked", "[block]") {
    // Every second one.
    struct Accounting : MemoryBackend {
        using MemoryBackend::MemoryBackend;
        void submit(BlockOperation& operation) override {
            operation.accounted = operation.op == BlockOp::read && (accounts = !accounts);
            MemoryBackend::submit(operation);
        }
        bool accounts = false;
    };
    MemoryDisk disk;
    BlockBench bench([&](EventLoop&) { return std::make_unique<Accounting>(disk.image); }, {});
    bench.activate();
    for (const bool accounted : {true, false, true, false}) {
        const GuestAddress data = bench.ram.take(page_size, page_size);
        bench.ram.take(1, page_size);
        bench.driver.read_to(0, data, page_size);
        static_cast<void>(bench.ram.take_dirty_pages());
        bench.pump();
        const auto dirty = bench.ram.take_dirty_pages();
        CHECK((std::ranges::count(dirty, page_of(data)) == 0) == accounted);
    }
}

TEST_CASE("block device: a failed read is marked too, for it may have written", "[block]") {
    BlockDeviceBench bench;
    bench.backend->judge([](const BlockOperation&) { return BlockStatus::io_error; });
    const GuestAddress data = bench.ram.take(page_size, page_size);
    bench.driver.read_to(0, data, 4096);
    static_cast<void>(bench.ram.take_dirty_pages());
    bench.pump();
    const auto dirty = bench.ram.take_dirty_pages();
    CHECK(std::count(dirty.begin(), dirty.end(), page_of(data)) == 1);
}

TEST_CASE("block device: nothing is marked before the backend is done", "[block]") {
    BlockDeviceBench bench;
    bench.backend->hold(true);
    bench.driver.read(0, 512);
    bench.pump();
    static_cast<void>(bench.ram.take_dirty_pages());
    bench.run_until_idle();
    CHECK(bench.ram.take_dirty_pages().empty());
    bench.backend->release_all();
    bench.run_until_idle();
    CHECK_FALSE(bench.ram.take_dirty_pages().empty());
}

TEST_CASE("block device: a change in flight is known by where it is, a read is none", "[block]") {
    BlockDeviceBench bench;
    bench.backend->hold(true);
    bench.driver.write(8, Bytes(1024, 1));
    bench.driver.read(100, 512);
    bench.pump();
    CHECK(bench.device.is_changing(0, 4097));
    CHECK(bench.device.is_changing(4096 + 1023, 10));
    CHECK_FALSE(bench.device.is_changing(0, 4096));
    CHECK_FALSE(bench.device.is_changing(4096 + 1024, 1 << 19));
    bench.backend->release_all();
    bench.run_until_idle();
    CHECK_FALSE(bench.device.is_changing(0, 1 << 20));
}

TEST_CASE("block device: completions in another order", "[block]") {
    BlockDeviceBench bench;
    bench.backend->hold(true);
    const auto first = bench.driver.read(0, 512);
    const auto second = bench.driver.read(1, 512);
    const auto third = bench.driver.read(2, 512);
    bench.pump();
    CHECK(bench.backend->held().size() == 3);
    CHECK(bench.backend->flushed_submissions() == 1);  // one batch
    CHECK(bench.queue.take_used().empty());
    bench.backend->release_all_reversed();
    bench.run_until_idle();
    CHECK(bench.queue.take_used() ==
          std::vector<UsedElement>{{third.head, 513}, {second.head, 513}, {first.head, 513}});
    CHECK(bench.driver.data(second) == slice(bench.original, 512, 512));
}

TEST_CASE("block device: 256 requests in flight, and the ring again behind them", "[block]") {
    BlockDeviceBench bench(
        {.ram_bytes = 2 * mib,
         .queue_size = 256,
         .features = virtio_f_version_1 | virtio_f_indirect_desc | virtio_f_event_idx});
    bench.backend->hold(true);
    std::vector<BlockDriver::Request> requests;
    for (std::uint32_t i = 0; i < 256; ++i)
        requests.push_back(bench.driver.read(i, 512));
    bench.pump();
    CHECK(bench.backend->held().size() == 256);
    // Heads that are still in flight come again: what only a hostile driver does.
    for (std::uint16_t i = 0; i < 256; ++i)
        bench.queue.publish(requests[i].head);
    bench.pump();
    CHECK(bench.backend->held().size() == 256);  // they wait for a free slot

    bench.backend->release_all_reversed();
    bench.run_until_idle();
    CHECK(bench.backend->held().size() == 256);
    bench.backend->hold(false);
    bench.backend->release_all();
    bench.run_until_idle();
    CHECK(bench.queue.used_index() == 512);
    for (std::uint32_t i = 0; i < 256; ++i) {
        CHECK(bench.driver.status(requests[i]) == blk_ok);
        CHECK((bench.driver.data(requests[i]) == slice(bench.original, i * 512, 512)));
    }
    CHECK(bench.transport.failures.empty());
}

TEST_CASE("block device: interrupts follow the driver's wish", "[block][events]") {
    BlockDeviceBench bench;
    bench.queue.set_no_interrupt(true);
    bench.driver.flush();
    bench.pump();
    CHECK(bench.queue.take_used().size() == 1);
    CHECK(bench.transport.interrupts == 0);
    bench.queue.set_no_interrupt(false);
    bench.driver.flush();
    bench.pump();
    CHECK(bench.transport.interrupts == 1);
}

TEST_CASE("block device: notifications are off while it works and on while it sleeps",
          "[block][events]") {
    BlockDeviceBench bench;
    bench.run_until_idle();
    CHECK(bench.queue.used_flags() == 0);
    bench.driver.flush();
    bench.device.queue_notified(0);
    CHECK(bench.queue.used_flags() == 1);
    bench.driver.flush();
    CHECK(bench.device.prepare_to_sleep());  // came in meanwhile: no sleep
    bench.run_until_idle();
    CHECK(bench.queue.take_used().size() == 2);
    CHECK(bench.queue.used_flags() == 0);
}
