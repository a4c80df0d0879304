// SPDX-License-Identifier: Apache-2.0
#include "node/build/new_disks.h"

#include <array>
#include <catch2/catch.hpp>
#include <filesystem>

#include "replay/image/label_file.h"
#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::node;
using test::TempFile;

namespace {

constexpr std::uint64_t new_image_bytes = 40 * mib + 512;

DiskOptions options_of(const TempFile& file) {
    DiskOptions options;
    options.path = file.path();
    return options;
}

bool is_empty(const TempFile& file) {
    return is_all_zeroes(DiskImage::open(file.path(), {.lock = false}).value()).value();
}

}  // namespace

TEST_CASE("an image of zeroes is empty, written or not, up to its last byte") {
    TempFile file(new_image_bytes);
    CHECK(is_empty(file));
    file.write(20 * mib, std::vector<std::uint8_t>(mib));
    CHECK(is_empty(file));
    for (const std::uint64_t at : {new_image_bytes - 1, std::uint64_t{0}, 20 * mib + 777}) {
        TempFile other(new_image_bytes);
        other.write(at, std::array<std::uint8_t, 1>{1});
        CHECK_FALSE(is_empty(other));
    }
}

TEST_CASE("a backup takes a disk without a label only if it is empty, or if its user says so") {
    TempFile file(mib);
    CHECK(check_new_disks({options_of(file)}, false).ok());
    file.write(mib - 1, std::array<std::uint8_t, 1>{1});
    const Result<void> refused = check_new_disks({options_of(file)}, false);
    REQUIRE_FALSE(refused.ok());
    const std::string message = refused.error().message();
    CHECK(message.find(file.path()) != std::string::npos);
    CHECK(message.find("--new-disk") == std::string::npos);  // what destroys is not offered
    CHECK(check_new_disks({options_of(file)}, true).ok());
    DiskOptions readonly = options_of(file);
    readonly.readonly = true;  // nothing will change it
    CHECK(check_new_disks({readonly}, false).ok());
}

TEST_CASE("a disk whose label names its guest is left to the rules for labels") {
    TempFile file(mib);
    file.write(0, std::array<std::uint8_t, 1>{1});
    const std::string path = file.path() + ".fmvm";
    replay::DiskLabel label;
    label.image_bytes = mib;
    {
        auto made = replay::LabelFile::create(path, label).value();
        CHECK_FALSE(check_new_disks({options_of(file)}, false).ok());  // no guest used it yet
        label.generation = 1;
        REQUIRE(made.write(label).ok());
        CHECK(check_new_disks({options_of(file)}, false).ok());
    }
    std::filesystem::resize_file(path, 100);  // damaged
    CHECK_FALSE(check_new_disks({options_of(file)}, false).ok());
    std::filesystem::remove(path);
}
