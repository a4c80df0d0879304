// SPDX-License-Identifier: Apache-2.0
// The io_uring backend on real files, behind a virtio-blk device: what the guest asked for is what
// the file holds afterwards, whatever the kernel answers on the way.
#include "devices/block/uring_backend.h"

#include <signal.h>
#include <sys/resource.h>

#include <catch2/catch.hpp>

#include "support/block_bench.h"
#include "support/boot_images.h"
#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

constexpr std::uint64_t disk_size = 1 * mib;

BlockBench::MakeBackend backend_on(DiskImage image) {
    auto shared = std::make_shared<DiskImage>(std::move(image));
    return [shared](EventLoop& loop) -> std::unique_ptr<BlockBackend> {
        return UringBackend::create(loop, std::move(*shared)).value();
    };
}

BlockBench::MakeBackend backend_on_path(const std::string& path) {
    return backend_on(DiskImage::open(path, {}).value());
}

// A file system that can do nothing, as long as mounting one is allowed.
std::optional<DiskImage> plain_image(std::uint64_t size) {
    const std::optional<UniqueFd> fd = file_on("ramfs", nullptr, nullptr);
    if (!fd || ::ftruncate(fd->get(), static_cast<off_t>(size)) != 0) return std::nullopt;
    return DiskImage::open("/proc/self/fd/" + std::to_string(fd->get()), {}).value();
}

struct FileBench : TempFile, BlockBench {
    explicit FileBench(const BlockBench::Options& options = {})
        : TempFile(disk_size), BlockBench(backend_on_path(path()), options) {
        TempFile::write(0, original);
        activate();
    }
    void expect_file(std::uint64_t offset, const Bytes& changed) {
        Bytes expected = original;
        std::copy(changed.begin(), changed.end(),
                  expected.begin() + static_cast<std::ptrdiff_t>(offset));
        CHECK((read_all() == expected));
    }
    Bytes original = noise(disk_size);
};

// No file of this process may grow beyond `size`, with EFBIG instead of a signal.
class FileSizeLimit {
  public:
    explicit FileSizeLimit(std::uint64_t size) : handler_(::signal(SIGXFSZ, SIG_IGN)) {
        FMVM_CHECK(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
        const rlimit limit{size, before_.rlim_max};
        FMVM_CHECK(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
    }
    ~FileSizeLimit() {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        ::signal(SIGXFSZ, handler_);
    }

  private:
    rlimit before_{};
    sighandler_t handler_;
};

}  // namespace

TEST_CASE("uring: reads what the file holds", "[block][uring]") {
    FileBench bench;
    const auto request = bench.driver.read(7, 64 * kib);
    REQUIRE(bench.pump_until_returned(1));
    CHECK(bench.driver.status(request) == blk_ok);
    CHECK((bench.driver.data(request) ==
           Bytes(bench.original.begin() + 7 * 512, bench.original.begin() + 7 * 512 + 64 * 1024)));
    bench.expect_file(0, {});
}

TEST_CASE("uring: writes what it was given and nothing else", "[block][uring]") {
    FileBench bench;
    const Bytes data = noise(32 * kib, 2);
    const auto request = bench.driver.write(9, data);
    const auto flush = bench.driver.flush();
    REQUIRE(bench.pump_until_returned(2));
    CHECK(bench.driver.status(request) == blk_ok);
    CHECK(bench.driver.status(flush) == blk_ok);
    bench.expect_file(9 * 512, data);
}

TEST_CASE("uring: many small buffers at odd addresses", "[block][uring]") {
    FileBench bench;
    const Bytes data = noise(2048, 3);
    const GuestAddress at = bench.ram.take(4096, page_size) + 7;
    bench.ram.poke_bytes(at, data);
    std::vector<BlockDriver::Buffer> pieces;
    for (std::uint32_t done = 0, part = 1; done < 2048; done += part, part += 13) {
        part = std::min(part, 2048 - done);
        pieces.push_back({at + done, part});
    }
    bench.driver.raw(blk_out, 100, pieces, {});
    REQUIRE(bench.pump_until_returned(1));
    bench.expect_file(100 * 512, data);
    bench.ram.poke_bytes(at, Bytes(2048));
    bench.driver.raw(blk_in, 100, {}, pieces);
    REQUIRE(bench.pump_until_returned(2));
    CHECK(bench.ram.peek_bytes(at, 2048) == data);
}

TEST_CASE("uring: discard and write zeroes read back as zeroes", "[block][uring]") {
    FileBench bench;
    const auto discard = bench.driver.discard(64, 64);
    const auto zeroes = bench.driver.write_zeroes(129, 100);
    const auto unmap = bench.driver.write_zeroes(300, 64, 1);
    REQUIRE(bench.pump_until_returned(3));
    CHECK(bench.driver.status(discard) == blk_ok);
    CHECK(bench.driver.status(zeroes) == blk_ok);
    CHECK(bench.driver.status(unmap) == blk_ok);
    const auto blank = [&](std::ptrdiff_t sector, std::ptrdiff_t sectors) {
        std::fill_n(bench.original.begin() + sector * 512, sectors * 512, std::uint8_t{0});
    };
    blank(64, 64);
    blank(129, 100);
    blank(300, 64);
    bench.expect_file(0, {});
}

TEST_CASE("uring: more requests than it has slots", "[block][uring]") {
    struct Owner : BlockOperationOwner {
        void complete(BlockOperation&, BlockStatus status) override {
            (status == BlockStatus::ok ? ok : failed) += 1;
        }
        std::size_t ok = 0;
        std::size_t failed = 0;
    };
    constexpr std::size_t count = 3 * UringBackend::depth + 5;
    TempFile file(disk_size);
    EventLoop loop;
    auto backend = UringBackend::create(loop, DiskImage::open(file.path(), {}).value()).value();
    Owner owner;
    Bytes expected = noise(count * 512, 4);
    std::vector<BlockOperation> operations(count);
    for (std::size_t i = 0; i < count; ++i) {
        BlockOperation& operation = operations[i];
        operation.op = BlockOp::write;
        operation.offset = i * 512;
        operation.length = 512;
        operation.buffers.push_back({expected.data() + i * 512, 512});
        operation.owner = &owner;
        backend->submit(operation);
    }
    backend->flush_submissions();
    CHECK(eventually([&] {
        backend->poll_completions();
        return owner.ok + owner.failed == count;
    }));
    CHECK(owner.failed == 0);
    expected.resize(disk_size);
    CHECK((file.read_all() == expected));
}

TEST_CASE("uring: 256 requests in flight from a guest", "[block][uring]") {
    FileBench bench({.ram_bytes = 2 * mib,
                     .queue_size = 256,
                     .features = virtio_f_version_1 | virtio_f_indirect_desc | virtio_f_event_idx});
    std::vector<BlockDriver::Request> requests;
    for (std::uint64_t i = 0; i < 256; ++i) {
        requests.push_back(i % 2 == 0 ? bench.driver.read(i * 8, 4096)
                                      : bench.driver.write(i * 8, noise(4096, 9)));
    }
    REQUIRE(bench.pump_until_returned(256));
    for (const auto& request : requests)
        CHECK(bench.driver.status(request) == blk_ok);
    const Bytes now = bench.read_all();
    for (std::size_t i = 0; i < 256; ++i) {
        const auto at = static_cast<std::ptrdiff_t>(i * 4096);
        const bool same =
            std::equal(now.begin() + at, now.begin() + at + 4096,
                       i % 2 == 0 ? bench.original.begin() + at : noise(4096, 9).begin());
        CHECK(same);
    }
}

TEST_CASE("uring: an image truncated under us is an I/O error", "[block][uring]") {
    FileBench bench;
    bench.resize(1024);
    const auto gone = bench.driver.read(8, 512);
    const auto half = bench.driver.read(1, 1024);
    const auto there = bench.driver.read(0, 1024);
    REQUIRE(bench.pump_until_returned(3));
    CHECK(bench.driver.status(gone) == blk_io_error);
    CHECK(bench.driver.status(half) == blk_io_error);
    CHECK(bench.driver.status(there) == blk_ok);
}

TEST_CASE("uring: a write that the host refuses is an I/O error, a part of it too",
          "[block][uring]") {
    FileBench bench;
    bench.resize(0);
    const FileSizeLimit limit(8192);
    const auto fits = bench.driver.write(0, Bytes(4096, 1));
    REQUIRE(bench.pump_until_returned(1));
    const auto part = bench.driver.write(8, Bytes(8192, 2));
    const auto none = bench.driver.write(100, Bytes(512, 3));
    REQUIRE(bench.pump_until_returned(3));
    CHECK(bench.driver.status(fits) == blk_ok);
    CHECK(bench.driver.status(part) == blk_io_error);
    CHECK(bench.driver.status(none) == blk_io_error);
    const auto still_works = bench.driver.read(0, 4096);
    REQUIRE(bench.pump_until_returned(4));
    CHECK(bench.driver.status(still_works) == blk_ok);
}

TEST_CASE("uring: a full file system is an I/O error", "[block][uring][mount]") {
    std::optional<UniqueFd> fd = file_on("tmpfs", "size", "64k");
    if (!fd) {
        WARN("needs the privilege to mount; skipped");
        return;
    }
    REQUIRE(::ftruncate(fd->get(), disk_size) == 0);
    DiskImage image;
    image.fd = std::move(*fd);
    image.size = disk_size;
    BlockBench bench(backend_on(std::move(image)), {});
    bench.activate();
    const auto too_much = bench.driver.write(0, Bytes(128 * kib, 1));
    const auto more = bench.driver.write(512, Bytes(4096, 1));
    const auto flush = bench.driver.flush();
    REQUIRE(bench.pump_until_returned(3));
    CHECK(bench.driver.status(too_much) == blk_io_error);
    CHECK(bench.driver.status(more) == blk_io_error);
    CHECK(bench.driver.status(flush) == blk_ok);
}

TEST_CASE("uring: errors of every operation reach the guest", "[block][uring]") {
    // A descriptor that may neither be read nor written.
    DiskImage neither;
    neither.fd = UniqueFd(::open("/tmp", O_PATH | O_CLOEXEC));
    neither.size = disk_size;
    BlockBench no_bench(backend_on(std::move(neither)), {});
    no_bench.activate();
    const std::vector<BlockDriver::Request> requests{
        no_bench.driver.read(0, 512), no_bench.driver.write(0, Bytes(512)),
        no_bench.driver.write_zeroes(0, 1), no_bench.driver.discard(0, 1), no_bench.driver.flush()};
    REQUIRE(no_bench.pump_until_returned(requests.size()));
    for (const BlockDriver::Request& request : requests)
        CHECK(no_bench.driver.status(request) == blk_io_error);

    TempFile file(disk_size);
    DiskImage write_only;
    write_only.fd = UniqueFd(::open(file.path().c_str(), O_WRONLY | O_CLOEXEC));
    write_only.size = disk_size;
    BlockBench bench(backend_on(std::move(write_only)), {});
    bench.activate();
    const auto read = bench.driver.read(0, 512);
    REQUIRE(bench.pump_until_returned(1));
    CHECK(bench.driver.status(read) == blk_io_error);
}

TEST_CASE("uring: write zeroes where the file system cannot", "[block][uring][mount]") {
    std::optional<DiskImage> image = plain_image(disk_size);
    if (!image) {
        WARN("needs the privilege to mount; skipped");
        return;
    }
    BlockBench bench(backend_on(std::move(*image)), {});
    bench.activate();
    const Bytes data = noise(256 * kib);
    const auto write = bench.driver.write(0, data);
    REQUIRE(bench.pump_until_returned(1));
    CHECK(bench.driver.status(write) == blk_ok);
    const auto zeroes = bench.driver.write_zeroes(1, 300);  // more than one buffer of zeroes
    const auto unmap = bench.driver.write_zeroes(400, 8, 1);
    const auto discard = bench.driver.discard(0, 8);
    REQUIRE(bench.pump_until_returned(4));
    CHECK(bench.driver.status(zeroes) == blk_ok);
    CHECK(bench.driver.status(unmap) == blk_ok);
    CHECK(bench.driver.status(discard) == blk_unsupported);
    const auto read = bench.driver.read(0, 256 * kib);
    REQUIRE(bench.pump_until_returned(5));
    Bytes expected = data;
    std::fill_n(expected.begin() + 512, 300 * 512, std::uint8_t{0});
    std::fill_n(expected.begin() + 400 * 512, 8 * 512, std::uint8_t{0});
    CHECK((bench.driver.data(read) == expected));
}

TEST_CASE("uring: write zeroes on tmpfs", "[block][uring]") {
    const std::string path = "/dev/shm/fmvm-test-" + std::to_string(::getpid());
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    REQUIRE(fd);
    ::unlink(path.c_str());
    const Bytes data = noise(64 * kib);
    REQUIRE(::pwrite(fd.get(), data.data(), data.size(), 0) == 64 * 1024);
    DiskImage image;
    image.fd = std::move(fd);
    image.size = 64 * kib;
    BlockBench bench(backend_on(std::move(image)), {});
    bench.activate();
    const auto zeroes = bench.driver.write_zeroes(3, 9);
    const auto read = bench.driver.read(0, 64 * kib);
    REQUIRE(bench.pump_until_returned(2));
    CHECK(bench.driver.status(zeroes) == blk_ok);
    CHECK(bench.driver.status(read) == blk_ok);
    const auto again = bench.driver.read_to(0, read.data, 64 * kib);
    REQUIRE(bench.pump_until_returned(3));
    Bytes expected = data;
    std::fill_n(expected.begin() + 3 * 512, 9 * 512, std::uint8_t{0});
    CHECK((bench.driver.data(again) == expected));
}

TEST_CASE("uring: what waits for a slot can be withdrawn", "[block][uring]") {
    struct Owner : BlockOperationOwner {
        void complete(BlockOperation&, BlockStatus status) override {
            (status == BlockStatus::ok ? done : withdrawn) += 1;
        }
        unsigned done = 0;
        unsigned withdrawn = 0;
    } owner;
    TempFile file(disk_size);
    EventLoop loop;
    auto backend = UringBackend::create(loop, DiskImage::open(file.path(), {}).value()).value();
    std::vector<BlockOperation> operations(UringBackend::depth + 10);
    for (BlockOperation& operation : operations) {
        operation.op = BlockOp::flush;
        operation.owner = &owner;
        backend->submit(operation);
    }
    backend->withdraw();
    CHECK(owner.withdrawn == 10);
    const auto deadline = std::chrono::steady_clock::now() + wait_limit;
    while (owner.done != UringBackend::depth && std::chrono::steady_clock::now() < deadline)
        backend->poll_completions();
    CHECK(owner.done == UringBackend::depth);
    CHECK(owner.withdrawn == 10);
}

TEST_CASE("uring: goes away with work in flight and waits for it", "[block][uring]") {
    GuestRam ram(2 * mib);
    TempFile file(disk_size);
    {
        EventLoop loop;
        auto backend = UringBackend::create(loop, DiskImage::open(file.path(), {}).value()).value();
        struct Owner : BlockOperationOwner {
            void complete(BlockOperation&, BlockStatus) override {}
        } owner;
        std::vector<BlockOperation> operations(64);
        for (std::size_t i = 0; i < operations.size(); ++i) {
            operations[i].op = BlockOp::read;
            operations[i].offset = i * 4096;
            operations[i].length = 4096;
            operations[i].owner = &owner;
            operations[i].buffers.push_back(
                {ram.memory().host_range(GuestAddress(i * 4096), 4096), 4096});
            backend->submit(operations[i]);
        }
    }
    CHECK(file.read_all().size() == disk_size);
}
