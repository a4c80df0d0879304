// SPDX-License-Identifier: Apache-2.0
#include "node/build/raw_disks.h"

#include <sys/xattr.h>

#include <catch2/catch.hpp>

#include "node/build/disk_labels.h"
#include "replay/image/dirty_block_map.h"
#include "support/temp_directory.h"
#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::node;
using namespace fmvm::test;
using Catch::Contains;

namespace {

constexpr std::array<std::uint8_t, 4> qcow2_mark{'Q', 'F', 'I', 0xfb};

// An image that begins like a qcow2 image, opened.
struct Bench {
    Bench() {
        file.write(0, qcow2_mark);
        disk.path = file.path();
    }
    ~Bench() { std::filesystem::remove(file.path() + ".fmvm"); }
    DiskImage open() const {
        return DiskImage::open(disk.path, {.read_only = disk.readonly, .direct = disk.direct})
            .value();
    }
    std::string refusal() const {
        const Result<void> checked = check_raw(disk, open());
        return checked.ok() ? "" : checked.error().message();
    }
    // As far as the file system of the tests lets files be marked.
    bool can_be_marked() const {
        return ::setxattr(file.path().c_str(), "user.fmvm.test", "1", 1, 0) == 0;
    }
    TempFile file{mib};
    DiskOptions disk;
};

}  // namespace

TEST_CASE("raw disks: an image of another format is not taken as raw in silence") {
    Bench bench;
    if (!bench.can_be_marked()) return;
    CHECK_THAT(bench.refusal(), Contains("looks like a qcow2 image"));
    CHECK_THAT(bench.refusal(), Contains(fmt::format("qemu-img convert -f qcow2 -O raw {0} {0}.raw",
                                                     bench.disk.path)));
    CHECK_THAT(bench.refusal(), Contains("add format=raw"));
    bench.disk.direct = true;
    CHECK_THAT(bench.refusal(), Contains("looks like a qcow2 image"));
    bench.disk.readonly = true;
    CHECK_THAT(bench.refusal(), Contains("looks like a qcow2 image"));
    bench.disk.raw = true;
    CHECK(bench.refusal().empty());
}

TEST_CASE("raw disks: a fixed VHD is told by its last sector, whatever the disk's size") {
    for (const std::uint64_t size : {std::uint64_t{512}, 64 * kib + 512, mib}) {
        CAPTURE(size);
        Bench bench;
        if (!bench.can_be_marked()) return;
        bench.file.resize(0);
        bench.file.resize(size);
        CHECK(bench.refusal().empty());
        constexpr std::string_view mark = "conectix";
        bench.file.write(size - 512, {reinterpret_cast<const std::uint8_t*>(mark.data()), 8});
        CHECK_THAT(bench.refusal(), Contains("looks like a vpc image"));
    }
}

TEST_CASE("raw disks: a guest cannot make its own disk unstartable") {
    SECTION("a disk that ran without protection is marked") {
        Bench bench;
        if (!bench.can_be_marked()) return;
        bench.file.write(0, std::array<std::uint8_t, 4>{});
        CHECK(bench.refusal().empty());
        const DiskImage image = bench.open();
        REQUIRE(leave_protection({bench.disk}, {&image}).ok());
        bench.file.write(0, qcow2_mark);  // its guest does that
        CHECK(check_raw(bench.disk, image).ok());
    }
    SECTION("a disk of a protected guest has a label") {
        Bench bench;
        replay::DiskLabel label;
        label.image_bytes = mib;
        std::string why;
        REQUIRE(replay::DirtyBlockMap::open(bench.disk.path + ".fmvm", label, why).ok());
        CHECK(bench.refusal().empty());
    }
    SECTION("a disk that cannot be marked is only warned about") {
        const std::optional<UniqueFd> file = file_on("ramfs", nullptr, nullptr);
        if (!file) return;  // without the privilege to mount
        REQUIRE(::ftruncate(file->get(), mib) == 0);
        REQUIRE(::pwrite(file->get(), qcow2_mark.data(), qcow2_mark.size(), 0) == 4);
        DiskImage image;
        image.fd = UniqueFd(::dup(file->get()));
        image.size = mib;
        DiskOptions disk;
        disk.label = no_label;
        CHECK(check_raw(disk, image).ok());
    }
}
