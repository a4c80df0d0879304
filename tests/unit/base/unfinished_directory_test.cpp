// SPDX-License-Identifier: Apache-2.0
#include "base/unfinished_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <iterator>

#include "support/complaint.h"
#include "support/temp_directory.h"

using namespace fmvm;
using namespace fmvm::test;
using Catch::Contains;

namespace {

std::size_t entries_in(const TempDirectory& place) {
    const std::filesystem::directory_iterator entries(place.path());
    return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

void write_text(int fd, std::string_view text) {
    REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

}  // namespace

TEST_CASE("an unfinished directory has its name only once it is whole", "[base]") {
    const TempDirectory place;
    const std::string target = place.file("made");
    UnfinishedDirectory made = UnfinishedDirectory::make(target).value();
    struct stat status {};
    REQUIRE(::stat(made.path().c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0700);
    write_text(made.create_file("part").value(), "text");
    CHECK_FALSE(std::filesystem::exists(target));
    REQUIRE(made.rename_into_place().ok());
    CHECK(made.make_name_durable().ok());
    CHECK(place.read("made/part") == "text");
    CHECK(entries_in(place) == 1);
}

TEST_CASE("an unfinished directory that nobody finishes goes away with all that is in it",
          "[base]") {
    const TempDirectory place;
    {
        UnfinishedDirectory made = UnfinishedDirectory::make(place.file("made")).value();
        write_text(made.create_file("part").value(), "text");
        const UnfinishedDirectory moved = std::move(made);
        CHECK(entries_in(place) == 1);
    }
    CHECK(entries_in(place) == 0);
}

TEST_CASE("a finished directory outlives the object that made it", "[base]") {
    const TempDirectory place;
    {
        UnfinishedDirectory made = UnfinishedDirectory::make(place.file("made")).value();
        REQUIRE(made.rename_into_place().ok());
    }
    CHECK(std::filesystem::is_directory(place.file("made")));
}

TEST_CASE("an unfinished directory takes no name that is taken", "[base]") {
    const TempDirectory place;
    const std::string target = place.file("made");
    const auto refusal = [&] { return complaint(UnfinishedDirectory::make(target)); };
    SECTION("by a file") {
        place.write("made", "precious");
        CHECK_THAT(refusal(), Contains("it exists already"));
    }
    SECTION("by a symbolic link to nowhere") {
        std::filesystem::create_symlink(place.file("nowhere"), target);
        CHECK_THAT(refusal(), Contains("it exists already"));
    }
    SECTION("by a directory that was made meanwhile") {
        UnfinishedDirectory made = UnfinishedDirectory::make(target).value();
        std::filesystem::create_directory(target);
        CHECK_THAT(complaint(made.rename_into_place()), Contains("cannot be renamed into place"));
    }
    CHECK(entries_in(place) >= 1);
}

TEST_CASE("an unfinished directory needs a parent, and a name for each file", "[base]") {
    const TempDirectory place;
    CHECK_THAT(complaint(UnfinishedDirectory::make(place.file("not/there"))),
               Contains("cannot be made"));
    UnfinishedDirectory made = UnfinishedDirectory::make(place.file("made")).value();
    REQUIRE(made.create_file("part").ok());
    CHECK_THAT(complaint(made.create_file("part")), Contains("part cannot be created"));
}
