// SPDX-License-Identifier: Apache-2.0
#include "devices/block/image_container.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

using namespace fmvm;
using namespace std::string_view_literals;

namespace {

std::vector<std::uint8_t> sector_with(std::string_view text, std::size_t offset = 0) {
    std::vector<std::uint8_t> sector(512);
    std::ranges::copy(text, sector.begin() + static_cast<std::ptrdiff_t>(offset));
    return sector;
}

std::string_view format_of(const std::vector<std::uint8_t>& first,
                           const std::vector<std::uint8_t>& last = sector_with("")) {
    return container_format(first, last).value_or("none");
}

}  // namespace

TEST_CASE("image container: each format is told by its mark", "[disk]") {
    CHECK(format_of(sector_with("QFI\xfb\0\0\0\1"sv)) == "qcow");
    CHECK(format_of(sector_with("QFI\xfb\0\0\0\2"sv)) == "qcow2");
    CHECK(format_of(sector_with("QFI\xfb\0\0\0\3"sv)) == "qcow2");
    CHECK(format_of(sector_with("QED\0"sv)) == "qed");
    CHECK(format_of(sector_with("KDMV")) == "vmdk");
    CHECK(format_of(sector_with("COWD")) == "vmdk");
    CHECK(format_of(sector_with("# Disk DescriptorFile\n")) == "vmdk");
    CHECK(format_of(sector_with("vhdxfile")) == "vhdx");
    CHECK(format_of(sector_with("conectix")) == "vpc");
    CHECK(format_of(sector_with(""), sector_with("conectix")) == "vpc");
    CHECK(format_of(sector_with("\x7f\x10\xda\xbe", 64)) == "vdi");
    CHECK(format_of(sector_with("WithoutFreeSpace")) == "parallels");
    CHECK(format_of(sector_with("WithouFreSpacExt")) == "parallels");
}

TEST_CASE("image container: what raw disks begin with is no mark", "[disk]") {
    CHECK(format_of(sector_with("")) == "none");
    CHECK(format_of(sector_with("\xeb\x63\x90", 0)) == "none");  // a boot sector
    CHECK(format_of(sector_with("LUKS\xba\xbe")) == "none");     // a disk that is encrypted
    CHECK(format_of(sector_with("qcow2 QFI\xfb")) == "none");    // elsewhere
    CHECK(format_of(sector_with(""), sector_with("QFI\xfb")) == "none");
    CHECK(format_of({'Q', 'F', 'I'}, {}) == "none");
    CHECK(format_of({}, {}) == "none");
}
