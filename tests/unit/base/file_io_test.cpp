// SPDX-License-Identifier: Apache-2.0
#include "base/file_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>
#include <thread>

#include "base/unique_fd.h"

using namespace fmvm;

TEST_CASE("file io: a pipe takes and gives in pieces, nothing is lost", "[base]") {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const UniqueFd reader(ends[0]);
    UniqueFd writer(ends[1]);
    const std::string sent(1 << 20, 'x');  // many times what a pipe holds
    int written = -1;
    std::thread thread([&] {
        written = write_all(writer.get(), std::as_bytes(std::span(sent)));
        writer.reset();
    });
    std::string got(sent.size() + 1, '\0');
    std::size_t count = 0;
    CHECK(read_up_to(reader.get(), std::as_writable_bytes(std::span(got)), count) == 0);
    thread.join();
    CHECK(written == 0);
    CHECK(count == sent.size());
    CHECK(got.substr(0, count) == sent);
}

TEST_CASE("file io: a name alone stands in the directory that a process is in", "[base]") {
    CHECK(directory_of("name") == ".");
    CHECK(directory_of("/name") == "/");
    CHECK(directory_of("a/b/name") == "a/b");
}

TEST_CASE("file io: errors are told as errno", "[base]") {
    const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
    const std::string text = "a";
    CHECK(write_all(full.get(), std::as_bytes(std::span(text))) == ENOSPC);
    std::size_t count = 7;
    std::string space(1, '\0');
    CHECK(read_up_to(-1, std::as_writable_bytes(std::span(space)), count) == EBADF);
    CHECK(count == 0);
    CHECK(sync_directory("/nonexistent") == ENOENT);
    CHECK(sync_directory("/dev/null") == ENOTDIR);
    CHECK(sync_directory("/tmp") == 0);
}
