// SPDX-License-Identifier: Apache-2.0
#include "base/ownership.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/unique_fd.h"
#include "support/complaint.h"
#include "support/temp_directory.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

constexpr uid_t stranger = 12345;

// A directory of its own, opened.
struct Opened {
    explicit Opened(mode_t mode) { REQUIRE(::fchmod(fd.get(), mode) == 0); }
    std::string refusal() const { return complaint(check_directory(fd.get())); }
    const TempDirectory place;
    const UniqueFd fd{::open(place.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
};

}  // namespace

TEST_CASE("a directory that its owner alone may write to is ours") {
    CHECK(Opened(0700).refusal().empty());
    CHECK(Opened(0755).refusal().empty());
}

TEST_CASE("a directory that everybody may write to is not ours, with the sticky bit neither") {
    CHECK_THAT(Opened(0777).refusal(), Catch::Contains("everybody may write to"));
    CHECK_THAT(Opened(01777).refusal(), Catch::Contains("everybody may write to"));
    CHECK_THAT(Opened(0702).refusal(), Catch::Contains("everybody may write to"));
}

TEST_CASE("a directory of this process's own group is ours, of another group it is not") {
    const Opened directory(0770);
    CHECK(directory.refusal().empty());
    if (::geteuid() != 0) return;  // only root may give it away
    REQUIRE(::fchown(directory.fd.get(), 0, stranger) == 0);
    CHECK_THAT(directory.refusal(), Catch::Contains("another group (12345)"));
    REQUIRE(::fchmod(directory.fd.get(), 0750) == 0);
    CHECK(directory.refusal().empty());
}

TEST_CASE("a directory or file of another user is not ours") {
    if (::geteuid() != 0) return;  // only root may give it away
    const Opened directory(0755);
    REQUIRE(::fchown(directory.fd.get(), stranger, 0) == 0);
    CHECK_THAT(directory.refusal(), Catch::Contains("another user (12345)"));
    const std::string path = directory.place.write("file", "text");
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    CHECK(check_owner(file.get()).ok());
    REQUIRE(::fchown(file.get(), stranger, 0) == 0);
    CHECK_THAT(complaint(check_owner(file.get())), Catch::Contains("another user (12345)"));
}
