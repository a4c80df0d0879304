// SPDX-License-Identifier: Apache-2.0
#include "node/build/disk_state.h"

#include <array>
#include <catch2/catch.hpp>
#include <filesystem>

#include "node/build/disk_labels.h"
#include "replay/image/label_file.h"
#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::node;
using test::TempFile;

namespace {

constexpr std::uint64_t stood_image_bytes = 100 * replay::disk_block_bytes - 512;

bool nothing_changes(std::uint64_t, std::uint64_t) {
    return false;
}

// An image whose guest stands, and what a snapshot remembers of it.
struct Disk {
    TempFile file{stood_image_bytes};
    DiskOptions options;
    DiskImage image = DiskImage::open(file.path(), {}).value();

    explicit Disk(std::string label = {}) {
        options.path = file.path();
        options.label = std::move(label);
    }
    ~Disk() { std::filesystem::remove(file.path() + ".fmvm"); }

    DiskState take(DiskFuture future = DiskFuture::stays,
                   const IsChanging& is_changing = nothing_changes) const {
        return take_disk_state(options, 0, image, is_changing, future).value();
    }
    Result<void> check(const DiskState& state) const {
        return check_disk_state(state, options, image);
    }
    void change(std::uint64_t block) {
        file.write(block * replay::disk_block_bytes + 7, std::array<std::uint8_t, 1>{1});
    }
};

bool says(const Result<void>& result, const Disk& disk, const char* what) {
    if (result.ok()) return false;
    const std::string message = result.error().message();
    return message.find(disk.file.path()) != std::string::npos &&
           message.find(what) != std::string::npos &&
           message.find("without --restore") != std::string::npos;
}

}  // namespace

TEST_CASE("a disk is as it was until a guest runs on it, and never again after that") {
    const Disk disk;
    const DiskState state = disk.take();
    CHECK(state.pair != replay::LabelId{});
    CHECK(disk.check(state).ok());
    REQUIRE(leave_protection({disk.options}, {&disk.image}).ok());
    CHECK(says(disk.check(state), disk, "a guest has run on it since"));
}

TEST_CASE("a disk whose guest goes on is at once not as it was") {
    const Disk disk;
    CHECK(says(disk.check(disk.take(DiskFuture::goes_on)), disk, "a guest has run on it since"));
}

TEST_CASE("a copy of a disk has no label: its content counts") {
    const Disk disk;
    const DiskState state = disk.take();
    Disk copy;
    CHECK(copy.check(state).ok());
    copy.change(3);
    CHECK(says(copy.check(state), copy, "differs at byte 196608"));
}

TEST_CASE("a disk that is to have no label is told by its content") {
    Disk disk("none");
    const DiskState state = disk.take(DiskFuture::goes_on);
    CHECK(state.pair == replay::LabelId{});
    CHECK(disk.check(state).ok());
    CHECK_FALSE(std::filesystem::exists(disk.file.path() + ".fmvm"));
    disk.change(99);  // the last block is always among those that are looked at
    CHECK_FALSE(disk.check(state).ok());
}

TEST_CASE("a disk that is only read keeps its label, or has none") {
    Disk disk;
    disk.options.readonly = true;
    const DiskState state = disk.take(DiskFuture::goes_on);
    CHECK_FALSE(std::filesystem::exists(disk.file.path() + ".fmvm"));
    CHECK(disk.check(state).ok());
}

TEST_CASE("a request in flight may change its blocks: they are not looked at") {
    Disk disk("none");
    const DiskState state = disk.take(DiskFuture::stays, [](std::uint64_t offset, std::uint64_t) {
        return offset == 5 * replay::disk_block_bytes;
    });
    disk.change(5);
    CHECK(disk.check(state).ok());
    disk.change(6);
    CHECK_FALSE(disk.check(state).ok());
}

TEST_CASE("blocks that are looked at lie within the image, each once, whatever its size") {
    for (const std::uint64_t blocks : {1, 2, 15, 16, 17, 63, 64, 65, 80, 1000, 12345}) {
        TempFile file(blocks * replay::disk_block_bytes - 512);
        const DiskImage image = DiskImage::open(file.path(), {.lock = false}).value();
        DiskOptions options;
        options.path = file.path();
        options.readonly = true;
        const DiskState state =
            take_disk_state(options, 0, image, nothing_changes, DiskFuture::stays).value();
        REQUIRE(state.samples.size() == std::min<std::size_t>(blocks, DiskState::samples_max));
        for (std::size_t i = 1; i < state.samples.size(); ++i)
            CHECK(state.samples[i - 1].block < state.samples[i].block);
        CHECK(state.samples.back().block == blocks - 1);
    }
}

TEST_CASE("states of disks survive encoding, and nothing else is taken for them") {
    std::vector<DiskState> states(2);
    states[0] = Disk("none").take();
    states[1].image_bytes = mib;
    states[1].pair = {7};
    const std::vector<std::uint8_t> bytes = encode_disk_states(states);
    CHECK(decode_disk_states(bytes).value() == states);
    for (std::size_t size = 0; size < bytes.size(); size += 7)
        CHECK_FALSE(decode_disk_states(std::span(bytes).first(size)).ok());
    states[1].samples.push_back({16, 0});  // behind its end
    CHECK_FALSE(decode_disk_states(encode_disk_states(states)).ok());
    states[1].samples.assign(DiskState::samples_max + 1, {0, 0});
    CHECK_FALSE(decode_disk_states(encode_disk_states(states)).ok());
}
