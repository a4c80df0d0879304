// SPDX-License-Identifier: Apache-2.0
#include "cli/options/option_values.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::cli;
using namespace fmvm::node;

namespace {

std::uint64_t size_of(std::string_view text) {
    const Result<std::uint64_t> size = parse_size(text);
    INFO(text);
    REQUIRE(size.ok());
    return size.value();
}

}  // namespace

TEST_CASE("sizes: every unit, and a bare number is MiB") {
    CHECK(size_of("256") == 256 * mib);
    CHECK(size_of("256M") == 256 * mib);
    CHECK(size_of("512MiB") == 512 * mib);
    CHECK(size_of("512MB") == 512 * mib);
    CHECK(size_of("8192K") == 8 * mib);
    CHECK(size_of("8192kiB") == 8 * mib);
    CHECK(size_of("1G") == gib);
    CHECK(size_of("2GiB") == 2 * gib);
    CHECK(size_of("1T") == 1024 * gib);
    CHECK(size_of("0") == 0);
    CHECK(size_of("16777215T") == 16777215 * (1024 * gib));
}

TEST_CASE("sizes: garbage and overflow are refused") {
    for (const char* text : {"", " ", "M", "-1", "+1", " 1", "1 M", "1.5G", "1Q", "1MM", "1iB",
                             "1B", "0x10", "1Mi", "12G3", "16777216T", "18446744073709551616",
                             "18446744073709551615", "99999999999999999999G"}) {
        INFO(text);
        CHECK_FALSE(parse_size(text).ok());
    }
    CHECK_FALSE(size_from_mib(std::uint64_t{1} << 44).ok());
    CHECK(size_from_mib(64).value() == 64 * mib);
}

TEST_CASE("counts are plain decimal numbers") {
    CHECK(parse_count("4").value() == 4);
    for (const char* text : {"", "-1", "four", "4 ", "4x", "4294967296"}) {
        INFO(text);
        CHECK_FALSE(parse_count(text).ok());
    }
}

TEST_CASE("disks: every key, in any order") {
    const DiskOptions disk =
        parse_disk("direct,serial=a=b,path=/x y.img,label=l=m,readonly").value();
    CHECK(disk == DiskOptions{"/x y.img", true, true, "a=b", "l=m"});
    CHECK(parse_disk("path=a").value() == DiskOptions{"a", false, false, ""});
    CHECK(parse_disk("path=").value().path.empty());  // complete() names it
    CHECK(parse_disk("path=a,format=raw").value().raw);
    CHECK_FALSE(parse_disk("path=a").value().raw);
}

TEST_CASE("disks: unknown, repeated, missing and malformed keys are refused") {
    for (const char* text :
         {"", "a.img", "readonly", "path", "path=a,ro", "path=a,", ",path=a", "path=a,path=b",
          "path=a,readonly,readonly", "path=a,readonly=yes", "path=a,direct=1", "path=a,serial",
          "PATH=a", "path=a,b.img", "path=a,label", "path=a,label=", "path=a,format",
          "path=a,format=", "path=a,format=raw,format=raw"}) {
        INFO(text);
        CHECK_FALSE(parse_disk(text).ok());
    }
    CHECK(parse_disk("path=a,ro").error().message().find("'ro'") != std::string::npos);
    CHECK_THAT(parse_disk("path=a,format=qcow2").error().message(),
               Catch::Contains("disks are raw; convert others"));
}

TEST_CASE("consoles and quirks") {
    CHECK(parse_console("stdio").value() == ConsoleOptions{ConsoleKind::stdio, ""});
    CHECK(parse_console("null").value() == ConsoleOptions{ConsoleKind::null, ""});
    CHECK(parse_console("file:a,b").value() == ConsoleOptions{ConsoleKind::file, "a,b"});
    CHECK_FALSE(parse_console("file").ok());
    CHECK_FALSE(parse_console("tty").ok());
    CHECK(parse_host_quirks("auto").value() == HostQuirks::automatic);
    CHECK(parse_host_quirks("off").value() == HostQuirks::off);
    CHECK_FALSE(parse_host_quirks("on").ok());
    CHECK(parse_guest_time("saved").value() == GuestTime::saved);
    CHECK(parse_guest_time("now").value() == GuestTime::now);
    CHECK_FALSE(parse_guest_time("then").ok());
}
