// SPDX-License-Identifier: Apache-2.0
#include "node/import/image_convert.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::node;

namespace {

std::string refusal_of_info(std::string_view info) {
    const Result<std::uint64_t> size = disk_bytes_in(info);
    return size.ok() ? "" : size.error().message();
}

}  // namespace

TEST_CASE("image info: the size of the disk", "[cli]") {
    CHECK(disk_bytes_in(R"({"virtual-size": 1048576, "format": "raw"})").value() == 1048576);
    CHECK(disk_bytes_in(R"({"virtual-size": 512, "format-specific":
        {"type": "vmdk", "data": {"extents": [{"filename": "x"}]}}})")
              .value() == 512);
}

TEST_CASE("image info: what is not a whole disk is refused", "[cli]") {
    CHECK_THAT(refusal_of_info(R"({"virtual-size": 512, "backing-filename": "/etc/shadow"})"),
               Catch::Contains("has a backing file"));
    CHECK_THAT(refusal_of_info(R"({"virtual-size": 512, "encrypted": true})"),
               Catch::Contains("is encrypted"));
    CHECK_THAT(refusal_of_info(R"({"virtual-size": 512, "format-specific":
                   {"type": "qcow2", "data": {"data-file": "/dev/sda"}}})"),
               Catch::Contains("data in other files"));
    CHECK_THAT(refusal_of_info(R"({"virtual-size": 512, "format-specific":
                   {"type": "vmdk", "data": {"extents": [{}, {}]}}})"),
               Catch::Contains("data in other files"));
    for (const char* const info :
         {"{}", R"({"virtual-size": 0})", R"({"virtual-size": -512})", R"({"virtual-size": "512"})",
          R"({"virtual-size": 1.5})", R"({"virtual-size": 99999999999999999999999})", "[]", "", "x",
          R"({"virtual-size": 513})"}) {
        CAPTURE(info);
        CHECK(refusal_of_info(info) != "");
    }
}

TEST_CASE("conversion progress: the last per cent that was printed", "[cli]") {
    CHECK(percent_in("    (0.00/100%)\r    (12.50/100%)\r").value() == Approx(12.5));
    CHECK(percent_in("    (100.00/100%)\r\n").value() == Approx(100));
    for (const char* const text : {"", "(", "()", "(x/100%)", "(12", "(12)", "12.5/100%"}) {
        CAPTURE(text);
        CHECK_FALSE(percent_in(text).has_value());
    }
}
