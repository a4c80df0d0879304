// SPDX-License-Identifier: Apache-2.0
#include "node/build/snapshot.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "support/temp_directory.h"

using namespace fmvm;
using namespace fmvm::test;

TEST_CASE("snapshot: what is no file in it is refused and not waited for") {
    const TempDirectory directory;
    const auto refusal = [&] { return node::open_snapshot(directory.path()).error().message(); };
    const auto about_state = [&](const std::string& what) {
        return fmt::format("snapshot {}: its file `state`: {}", directory.path(), what);
    };
    CHECK(refusal() == about_state("cannot be opened: No such file or directory"));
    REQUIRE(::mkfifo(directory.file("state").c_str(), 0600) == 0);
    CHECK(refusal() == about_state("is a FIFO, not a file"));
    std::filesystem::remove(directory.file("state"));
    std::filesystem::create_directory(directory.file("state"));
    CHECK(refusal() == about_state("is a directory, not a file"));
    std::filesystem::remove(directory.file("state"));
    std::filesystem::create_symlink("/dev/zero", directory.file("state"));
    CHECK(refusal() == about_state("is a device, not a file"));
}
