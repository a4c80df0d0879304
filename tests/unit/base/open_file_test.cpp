// SPDX-License-Identifier: Apache-2.0
#include "base/open_file.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "support/complaint.h"
#include "support/pipe.h"
#include "support/temp_directory.h"

using namespace fmvm;
using namespace fmvm::test;
using Catch::Contains;

namespace {

mode_t mode_of(const std::string& path) {
    struct stat info {};
    REQUIRE(::lstat(path.c_str(), &info) == 0);
    return info.st_mode & 07777;
}

// At least one of each thing that is no file.
struct Things {
    Things() {
        REQUIRE(::mkfifo(place.file("fifo").c_str(), 0600) == 0);
        std::filesystem::create_directory(place.file("directory"));
        std::filesystem::create_symlink("/dev/zero", place.file("device"));
        place.write("file", "text");
        std::filesystem::create_symlink(place.file("file"), place.file("link"));
        const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        place.file("socket").copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address),
                       sizeof address) == 0);
    }
    std::string path(const std::string& name) const { return place.file(name); }
    const TempDirectory place;
};

}  // namespace

TEST_CASE("what is read must be a file, and nobody waits for a FIFO") {
    const Things things;
    CHECK_THAT(complaint(open_regular_file(things.path("fifo"))),
               Contains("is a FIFO, not a file"));
    CHECK_THAT(complaint(open_regular_file(things.path("directory"))),
               Contains("is a directory, not a file"));
    CHECK_THAT(complaint(open_regular_file(things.path("device"))),
               Contains("is a device, not a file"));
    CHECK_THAT(complaint(open_regular_file(things.path("socket"))), Contains("is a socket"));
    CHECK_THAT(complaint(open_regular_file(things.path("none"))),
               Contains("cannot be opened: No such file"));
    CHECK(open_regular_file(things.path("file")).value().size == 4);
    CHECK(open_regular_file(things.path("link")).value().size == 4);
}

TEST_CASE("a file of fmvm's own is found in an open directory, and no link is followed") {
    const Things things;
    const UniqueFd directory(
        ::open(things.place.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    CHECK(find_regular_file(directory.get(), "file").value()->size == 4);
    CHECK_FALSE(find_regular_file(directory.get(), "none").value().has_value());
    CHECK_THAT(complaint(find_regular_file(directory.get(), "link")),
               Contains("is a symbolic link, not a file"));
    CHECK_THAT(complaint(find_regular_file(directory.get(), "fifo")),
               Contains("is a FIFO, not a file"));
    CHECK(find_regular_file(AT_FDCWD, things.path("file")).value()->size == 4);
}

TEST_CASE("a file with a guest's data is made for its owner only") {
    const Things things;
    const mode_t mask = ::umask(0);
    CHECK(open_private_file(things.path("new"), O_WRONLY).ok());
    ::umask(mask);
    CHECK(mode_of(things.path("new")) == 0600);
    CHECK_THAT(complaint(open_private_file(things.path("new"), O_WRONLY | O_EXCL)),
               Contains("exists already"));
}

TEST_CASE("a file that is there keeps its content and its mode when it is opened for writing") {
    const Things things;
    REQUIRE(::chmod(things.path("file").c_str(), 0644) == 0);
    CHECK(open_private_file(things.path("file"), O_WRONLY).ok());
    CHECK(things.place.read("file") == "text");
    CHECK(mode_of(things.path("file")) == 0644);
}

TEST_CASE("a guest's data does not follow a planted link") {
    const Things things;
    CHECK_THAT(complaint(open_private_file(things.path("link"), O_WRONLY)),
               Contains("is a symbolic link to a file"));
    std::filesystem::create_symlink(things.path("missing"), things.path("dangling"));
    CHECK_FALSE(open_private_file(things.path("dangling"), O_WRONLY).ok());
    CHECK_FALSE(std::filesystem::exists(things.path("missing")));
    std::filesystem::create_hard_link(things.path("file"), things.path("second"));
    CHECK_THAT(complaint(open_private_file(things.path("second"), O_WRONLY)),
               Contains("has a second name"));
    CHECK(things.place.read("file") == "text");
}

TEST_CASE("a guest's data does not go into another user's file") {
    if (::geteuid() != 0) return;  // only root may give one away
    const Things things;
    REQUIRE(::chown(things.path("file").c_str(), 12345, 0) == 0);
    CHECK_THAT(complaint(open_private_file(things.path("file"), O_WRONLY)),
               Contains("belongs to another user"));
}

TEST_CASE("a guest's data goes to streams that somebody reads, and waits for nobody") {
    const Things things;
    CHECK_THAT(complaint(open_private_file(things.path("fifo"), O_WRONLY)),
               Contains("is a FIFO that nobody reads"));
    const UniqueFd reader(::open(things.path("fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    CHECK(open_private_file(things.path("fifo"), O_WRONLY).ok());
    CHECK(open_private_file("/dev/null", O_WRONLY).ok());
    const Pipe pipe;
    CHECK(
        open_private_file("/proc/self/fd/" + std::to_string(pipe.write_end.get()), O_WRONLY).ok());
    CHECK_FALSE(open_private_file(things.path("directory"), O_WRONLY).ok());
    CHECK_FALSE(open_private_file(things.path("socket"), O_WRONLY).ok());
}
