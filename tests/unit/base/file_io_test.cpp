// SPDX-License-Identifier: Apache-2.0
// base/: text for people, plain bytes, whole reads and writes.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/file_io.h"
#include "base/random.h"
#include "base/text.h"
#include "base/unique_fd.h"

using namespace fmvm;

TEST_CASE("text: control characters do not reach a terminal", "[base]") {
    CHECK(without_controls("plain, \xc3\xa9 too") == "plain, \xc3\xa9 too");
    CHECK(without_controls(std::string("a\x1b[2Jb\nc\x7f\0d", 11)) == "a?[2Jb?c??d");
    CHECK(without_controls("").empty());
}

TEST_CASE("bytes: zero means every byte", "[base]") {
    std::vector<std::uint8_t> bytes(4096, 0);
    CHECK(is_zero(bytes));
    CHECK(is_zero(std::span<const std::uint8_t>()));
    for (std::uint8_t& byte : bytes) {
        byte = 1;
        REQUIRE_FALSE(is_zero(bytes));
        byte = 0;
    }
}

TEST_CASE("random: two values differ", "[base]") {
    using Id = std::array<std::uint8_t, 16>;
    CHECK(random_value<Id>() != random_value<Id>());
}

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
