// SPDX-License-Identifier: Apache-2.0
// Which images are looked at, and what must not lead qemu-img to other files.
#include "node/import/image_format.h"

#include <catch2/catch.hpp>
#include <vector>

#include "base/little_endian.h"
#include "base/units.h"

using namespace fmvm;
using namespace fmvm::node;

namespace {

std::vector<std::uint8_t> start_with(std::string_view magic) {
    std::vector<std::uint8_t> start(512);
    std::ranges::copy(magic, start.begin());
    return start;
}

std::vector<std::uint8_t> qcow2() {
    std::vector<std::uint8_t> start = start_with("QFI\xfb");
    start[7] = 3;  // version
    return start;
}

std::vector<std::uint8_t> vmdk() {
    std::vector<std::uint8_t> start = start_with("KDMV");
    store_le<std::uint64_t>(start, 12, 2048);  // capacity
    return start;
}

std::string start_refusal(ImageFormat format, const std::vector<std::uint8_t>& start,
                          std::uint64_t size = 8 * mib) {
    const Result<void> checked = check_image_start(format, start, size);
    return checked.ok() ? "" : checked.error().message();
}

}  // namespace

TEST_CASE("image format: told by name or option, never by content", "[cli]") {
    CHECK(image_format_by_name("a/b.qcow2").value() == ImageFormat::qcow2);
    CHECK(image_format_by_name("x.raw").value() == ImageFormat::raw);
    CHECK(image_format_by_name("x.vmdk").value() == ImageFormat::vmdk);
    CHECK(image_format_by_name("x.vhdx").value() == ImageFormat::vhdx);
    for (const char* const name : {"x.img", "x", "x.qcow2.gz", ""}) {
        CAPTURE(name);
        CHECK_THAT(image_format_by_name(name).error().message(), Catch::Contains("give --format"));
    }
    CHECK(parse_image_format("qcow2").value() == ImageFormat::qcow2);
    CHECK_FALSE(parse_image_format("luks").ok());
    CHECK_FALSE(parse_image_format("").ok());
}

TEST_CASE("image format: the start must be of that format", "[cli]") {
    CHECK(start_refusal(ImageFormat::qcow2, qcow2()) == "");
    CHECK(start_refusal(ImageFormat::vmdk, vmdk()) == "");
    CHECK(start_refusal(ImageFormat::vhdx, start_with("vhdxfile")) == "");
    CHECK_THAT(start_refusal(ImageFormat::vhdx, start_with("vhdxfile"), 8 * mib + 512),
               Catch::Contains("is truncated"));
    CHECK(start_refusal(ImageFormat::raw, qcow2()) ==
          "");  // what a guest wrote there means nothing
    CHECK_THAT(start_refusal(ImageFormat::qcow2, vmdk()), Catch::Contains("is not a qcow2 image"));
    CHECK_THAT(start_refusal(ImageFormat::vhdx, {}), Catch::Contains("is not a vhdx image"));
    CHECK_THAT(start_refusal(ImageFormat::vmdk, {'K', 'D', 'M', 'V'}),
               Catch::Contains("is truncated"));
    CHECK_THAT(start_refusal(ImageFormat::qcow2, {'Q', 'F', 'I', 0xfb}),
               Catch::Contains("is truncated"));
}

TEST_CASE("image format: what leads to other files is refused before qemu-img sees it", "[cli]") {
    std::vector<std::uint8_t> start = qcow2();
    start[15] = 1;  // where the name of the backing file is
    CHECK_THAT(start_refusal(ImageFormat::qcow2, start), Catch::Contains("has a backing file"));
    start = qcow2();
    start[79] = 4;  // incompatible feature: external data file
    CHECK_THAT(start_refusal(ImageFormat::qcow2, start), Catch::Contains("data in another file"));
    start[7] = 2;  // version 2 has no features
    CHECK(start_refusal(ImageFormat::qcow2, start) == "");
    CHECK_THAT(
        start_refusal(ImageFormat::vmdk, start_with("# Disk DescriptorFile\nRW 1 FLAT \"/etc/x\"")),
        Catch::Contains("in other files"));
    CHECK_THAT(start_refusal(ImageFormat::vmdk, start_with("KDMV")),
               Catch::Contains("in other files"));
}
