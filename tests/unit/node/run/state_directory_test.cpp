// SPDX-License-Identifier: Apache-2.0
#include "node/run/state_directory.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "support/complaint.h"
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

TEST_CASE("state directory: a planted link is not followed, with a slash at its end neither") {
    const Place place;
    std::filesystem::create_directory(place.path + ".victim");
    std::filesystem::create_directory_symlink(place.path + ".victim", place.path);
    for (const std::string& path : {place.path, place.path + "/"}) {
        CHECK_THAT(StateDirectory::open(path).error().message(),
                   Catch::Contains("is a symbolic link"));
    }
    std::filesystem::remove_all(place.path + ".victim");
}

TEST_CASE("state directory: a file that was planted in it is neither read nor overwritten") {
    const Place place;
    const TempFile victim;
    { StateDirectory directory = place.open(); }
    std::filesystem::create_symlink(victim.path(), place.path + "/generation");
    CHECK_THAT(StateDirectory::open(place.path).error().message(),
               Catch::Contains("/generation: is a symbolic link"));
    std::filesystem::remove(place.path + "/generation");
    std::filesystem::create_symlink(victim.path(), place.path + "/generation.new");
    CHECK(place.open().record(vm, 4).ok());
    CHECK(victim.read_all().empty());
}

TEST_CASE("state directory: one that everybody may write to is refused") {
    const Place place;
    std::filesystem::create_directory(place.path);
    std::filesystem::permissions(place.path, std::filesystem::perms::all);
    CHECK_THAT(StateDirectory::open(place.path).error().message(),
               Catch::Contains("a directory that only fmvm's user may write to"));
}

TEST_CASE("state directory: records stay in the directory that was opened") {
    const Place place;
    StateDirectory directory = place.open();
    std::filesystem::rename(place.path, place.path + ".moved");
    std::filesystem::create_directory(place.path);
    CHECK(directory.record(vm, 4).ok());
    CHECK(std::filesystem::exists(place.path + ".moved/generation"));
    CHECK(std::filesystem::is_empty(place.path));
    std::filesystem::remove_all(place.path + ".moved");
}
