// SPDX-License-Identifier: Apache-2.0
#include "node/run/state_directory.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::node;
using namespace fmvm::test;

namespace {

constexpr lockstep::VmId vm{1, 2, 3};
constexpr lockstep::VmId another{3, 2, 1};

// Not there yet.
struct Place {
    ~Place() { std::filesystem::remove_all(path); }
    StateDirectory open() const { return StateDirectory::open(path).value(); }
    const TempFile unique;
    const std::string path = unique.path() + ".state";
};

std::string complaint(const Result<void>& result) {
    return result.ok() ? "" : result.error().message();
}

}  // namespace

TEST_CASE("state directory: a new one takes any guest") {
    const Place place;
    CHECK(place.open().check(vm, 1).ok());
    CHECK(place.open().check(another, 7).ok());
}

TEST_CASE("state directory: it remembers whose backup it was, and the newest generation") {
    const Place place;
    REQUIRE(place.open().record(vm, 4).ok());
    StateDirectory directory = place.open();
    CHECK(directory.check(vm, 4).ok());
    CHECK(directory.check(vm, 5).ok());
    CHECK_THAT(complaint(directory.check(vm, 3)), Catch::Contains("overtaken by 4"));
    CHECK_THAT(complaint(directory.check(another, 9)), Catch::Contains("another guest"));
    REQUIRE(directory.record(vm, 6).ok());
    CHECK_FALSE(directory.check(vm, 5).ok());
}

TEST_CASE("state directory: one user at a time") {
    const Place place;
    const StateDirectory first = place.open();
    CHECK_THAT(StateDirectory::open(place.path).error().message(), Catch::Contains("in use"));
}

TEST_CASE("state directory: a record that is damaged, cut short or too long is refused") {
    const Place place;
    REQUIRE(place.open().record(vm, 4).ok());
    const std::string file = place.path + "/generation";
    std::ifstream in(file, std::ios::binary);
    const std::string whole{std::istreambuf_iterator<char>(in), {}};
    const auto refused = [&](const std::string& bytes) {
        std::ofstream(file, std::ios::binary) << bytes;
        const Result<StateDirectory> opened = StateDirectory::open(place.path);
        return !opened.ok() && opened.error().message().find("damaged") != std::string::npos;
    };
    for (std::size_t at = 0; at < whole.size(); ++at) {
        std::string flipped = whole;
        flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
        CHECK(refused(flipped));
        CHECK(refused(whole.substr(0, at)));
    }
    CHECK(refused(whole + "x"));
    CHECK_FALSE(refused(whole));
}
