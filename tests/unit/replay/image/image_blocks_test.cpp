// SPDX-License-Identifier: Apache-2.0
#include "replay/image/image_blocks.h"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <random>

#include "support/memory_blocks.h"
#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::replay;
using test::TempFile;

namespace {

std::vector<std::uint8_t> noise(std::size_t size) {
    std::mt19937_64 random(size);
    std::vector<std::uint8_t> bytes(size);
    for (std::uint8_t& byte : bytes)
        byte = static_cast<std::uint8_t>(random());
    return bytes;
}

}  // namespace

TEST_CASE("blocks of an image are read and written, the short last one too, direct or not") {
    constexpr std::uint64_t size = 2 * disk_block_bytes + 4096;
    for (const bool direct : {false, true}) {
        TempFile file(size);
        const auto content = noise(size);
        file.write(0, content);
        auto opened = DiskImage::open(file.path(), {.direct = direct});
        if (direct && !opened.ok()) continue;  // a file system without direct I/O
        const DiskImage image = std::move(opened).value();
        const auto blocks = open_image_blocks(image, "a.img");
        CHECK(blocks->image_bytes() == size);
        CHECK_FALSE(blocks->read_only());
        for (BlockIndex block = 0; block < disk_block_count(size); ++block) {
            // At an odd address: direct I/O would refuse it.
            std::vector<std::uint8_t> space(bytes_of_block(block, size) + 1);
            const auto bytes = std::span(space).subspan(1);
            REQUIRE(blocks->read(block, bytes).ok());
            CHECK(std::ranges::equal(
                bytes, std::span(content).subspan(block * disk_block_bytes, bytes.size())));
        }
        const auto last = noise(4096 + 1);
        REQUIRE(blocks->write(2, std::span(last).subspan(1)).ok());
        auto expected = content;
        std::copy(last.begin() + 1, last.end(), expected.end() - 4096);
        CHECK(file.read_all() == expected);
    }
}

TEST_CASE("an image that cannot be read or written says so") {
    TempFile file(disk_block_bytes);
    const DiskImage image = DiskImage::open(file.path(), {.read_only = true}).value();
    const auto blocks = open_image_blocks(image, "a.img");
    CHECK(blocks->read_only());
    std::vector<std::uint8_t> bytes(disk_block_bytes);
    CHECK(blocks->write(0, bytes).error().message().find("disk a.img") == 0);
    CHECK(blocks->check_size().ok());
    file.resize(disk_block_bytes + 1000);
    CHECK(blocks->check_size().ok());
    file.resize(1000);
    CHECK(blocks->check_size().error().message() ==
          "disk a.img: became shorter, 1000 bytes instead of 65536; restore its size");
    CHECK(blocks->read(0, bytes).error().message().find("shorter") != std::string::npos);
}

TEST_CASE("holes of an image are known without reading them, those that were trimmed too") {
    constexpr std::uint64_t size = 9 * disk_block_bytes - 512;
    TempFile file(size);
    file.resize(0);
    file.resize(size);
    const DiskImage image = DiskImage::open(file.path(), {}).value();
    const auto blocks = open_image_blocks(image, "a.img");
    const auto with_data = [&blocks] {
        std::vector<BlockIndex> found;
        blocks->data().for_each([&found](BlockIndex block) { found.push_back(block); });
        return found;
    };
    using Blocks = std::vector<BlockIndex>;
    if (with_data().size() == 9) return;  // a file system without holes
    CHECK(with_data().empty());
    REQUIRE(blocks->write(1, noise(disk_block_bytes)).ok());
    REQUIRE(blocks->write(2, noise(disk_block_bytes)).ok());
    REQUIRE(blocks->write(8, noise(disk_block_bytes - 512)).ok());
    CHECK(with_data() == Blocks{1, 2, 8});
    REQUIRE(::fallocate(image.fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        2 * disk_block_bytes, disk_block_bytes) == 0);
    CHECK(with_data() == Blocks{1, 8});
    // A byte is enough.
    REQUIRE(::pwrite(image.fd.get(), "x", 1, 5 * disk_block_bytes + 4097) == 1);
    CHECK(with_data() == Blocks{1, 5, 8});
    // What is not there is no hole.
    file.resize(size - 1);
    CHECK(with_data().size() == 9);
}

TEST_CASE("an image whose holes are not known may hold anything everywhere") {
    CHECK(MemoryBlocks(5 * disk_block_bytes + 1).data().size() == 6);
}
