// SPDX-License-Identifier: Apache-2.0
#include "node/build/disk_labels.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "replay/image/dirty_block_map.h"
#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::node;
using namespace fmvm::test;

namespace {

DiskOptions disk(std::string path, std::string label = {}, bool readonly = false) {
    DiskOptions options;
    options.path = std::move(path);
    options.label = std::move(label);
    options.readonly = readonly;
    return options;
}

}  // namespace

TEST_CASE("disk labels: beside a file, where the user says, or nowhere") {
    const TempFile image;
    CHECK(label_path(disk(image.path())).value() == image.path() + ".fmvm");
    CHECK(label_path(disk(image.path(), "/else/where")).value() == "/else/where");
    CHECK(label_path(disk(image.path(), "none")).value() == std::nullopt);
    CHECK_FALSE(needed_label_path(disk(image.path(), "none")).ok());
}

// /dev/null is as little a file as a block device is.
TEST_CASE(
    "disk labels: of a device that is written to the user must say where it is, or that it has "
    "none") {
    const Result<std::optional<std::string>> unknown = label_path(disk("/dev/null"));
    REQUIRE_FALSE(unknown.ok());
    CHECK(unknown.error().message().find("label=none") != std::string::npos);
    CHECK_FALSE(check_label(disk("/dev/null")).ok());
    CHECK(check_label(disk("/dev/null", "none")).ok());
    CHECK(label_path(disk("/dev/null", {}, true)).ok());
    CHECK_FALSE(needed_label_path(disk("/dev/null")).ok());
}

TEST_CASE("disk labels: one that is elsewhere is found by who does not know of it") {
    const TempFile image;
    const std::string label = image.path() + ".elsewhere";
    replay::DiskLabel stale;
    stale.image_bytes = mib;
    stale.role = replay::DiskRole::running;
    std::string why;
    REQUIRE(replay::DirtyBlockMap::open(label, stale, why).value()->set_label(stale).ok());
    CHECK(check_label(disk(image.path())).ok());
    point_to_label(disk(image.path(), label));
    CHECK_FALSE(check_label(disk(image.path())).ok());
    point_to_label(disk(image.path(), "/another"));  // the first one stays
    CHECK(std::filesystem::read_symlink(image.path() + ".fmvm") == label);
    std::filesystem::remove(image.path() + ".fmvm");
    std::filesystem::remove(label);
}

TEST_CASE("disk labels: they say whose guest's the disks are") {
    const TempFile image;
    const TempFile other;
    const std::string path = image.path() + ".fmvm";
    CHECK(labelled_guest({disk(image.path())}).value() == std::nullopt);
    replay::DiskLabel label;
    label.vm = {7};
    label.image_bytes = mib;
    std::string why;
    const auto map = replay::DirtyBlockMap::open(path, label, why).value();
    CHECK(labelled_guest({disk(image.path())}).value() == std::nullopt);  // no guest used it yet
    label.generation = 1;
    REQUIRE(map->set_label(label).ok());
    CHECK(labelled_guest({disk(other.path()), disk(image.path())}).value() == label.vm);
    CHECK(labelled_guest({disk(image.path(), {}, true)}).value() == std::nullopt);
    std::filesystem::remove(path);
}
