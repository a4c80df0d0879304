// SPDX-License-Identifier: Apache-2.0
#include "node/run/disk_comparison.h"

#include <catch2/catch.hpp>

#include "base/units.h"

using namespace fmvm;

namespace {

const DiskShape disk{16 * mib, 512, false, "root"};

std::string refusal(const std::vector<DiskShape>& primary, const std::vector<DiskShape>& backup) {
    const Result<void> compared = node::compare_disks(primary, backup);
    return compared.ok() ? "" : compared.error().message();
}

}  // namespace

TEST_CASE("a backup says in what its disk differs from the primary's") {
    CHECK(refusal({disk, disk}, {disk, disk}).empty());
    DiskShape other = disk;
    other.read_only = true;
    CHECK(refusal({disk, disk}, {disk, other}) ==
          "disk 1 differs (writable on the primary, readonly here); give the same on both sides");
    other = disk;
    other.serial = "";
    CHECK(refusal({disk}, {other}) ==
          "disk 0 differs (serial: 'root' on the primary, '' here); give the same on both sides");
    other = disk;
    other.capacity = 8 * mib;
    other.block_size = 4096;
    CHECK(refusal({disk}, {other}) ==
          "disk 0 differs (bytes: 16777216 on the primary, 8388608 here; bytes of a block "
          "(direct, or the device): 512 on the primary, 4096 here); give the same on both sides");
}

TEST_CASE("a backup says how many disks it lacks") {
    CHECK_THAT(refusal({disk, disk}, {disk}),
               Catch::Contains("the primary has 2 disks, this backup 1"));
}
