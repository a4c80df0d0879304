// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/host_quirks.h"

#include <catch2/catch.hpp>

using namespace fmvm;

namespace {

std::string emulated(std::string_view command_line) {
    return host_quirk_parameters(Ring0Kind::emulated, command_line);
}

bool has(const std::string& parameters, std::string_view name) {
    return (" " + parameters).find(" " + std::string(name)) != std::string::npos;
}

}  // namespace

TEST_CASE("quirks: none where the hardware runs ring 0") {
    CHECK(host_quirk_parameters(Ring0Kind::hardware, "console=ttyS0").empty());
}

TEST_CASE("quirks: all of them on an emulated ring 0") {
    const std::string all = emulated("console=ttyS0 root=/dev/vda");
    for (const char* name : {"noxsave", "clearcpuid=308,", "tsc=reliable", "mitigations=off",
                             "vdso=0", "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2"}) {
        INFO(name);
        CHECK(has(all, name));
    }
    CHECK(all.find("  ") == std::string::npos);
    CHECK(all.front() != ' ');
    CHECK(all.back() != ' ');
}

TEST_CASE("quirks: a parameter the user gave is the user's") {
    CHECK_FALSE(has(emulated("tsc=unstable"), "tsc="));
    CHECK_FALSE(has(emulated("a GLIBC_TUNABLES=x b"), "GLIBC_TUNABLES"));
    CHECK_FALSE(has(emulated("noxsave"), "noxsave"));
    CHECK_FALSE(has(emulated("\"vdso=1\""), "vdso"));
    CHECK(emulated("noxsave clearcpuid=1 tsc=x mitigations=auto vdso=1 GLIBC_TUNABLES=").empty());
}

TEST_CASE("quirks: names are whole, and what is init's or quoted is no parameter") {
    CHECK(has(emulated("xtsc=1 tscx=1 notsc"), "tsc=reliable"));
    CHECK(has(emulated("-- tsc=unstable"), "tsc=reliable"));
    CHECK(has(emulated("init=\"/sh vdso=1\""), "vdso=0"));
    CHECK(has(emulated("name=\"unfinished tsc=1"), "tsc=reliable"));
}
