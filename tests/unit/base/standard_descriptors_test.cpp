// SPDX-License-Identifier: Apache-2.0
#include "base/standard_descriptors.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <initializer_list>

using namespace fmvm;

namespace {

// What a child finds that begins with these of its standard descriptors closed.
enum class Found : int { all_well, refused, number_given_away, output_taken, input_not_empty };

Found found_with_closed(std::initializer_list<int> closed) {
    const pid_t child = ::fork();
    if (child == 0) {
        for (const int fd : closed)
            ::close(fd);
        const auto end = [](Found found) { ::_exit(static_cast<int>(found)); };
        if (!prepare_standard_descriptors().ok()) end(Found::refused);
        if (::open("/dev/null", O_RDWR) <= STDERR_FILENO) end(Found::number_given_away);
        for (const int fd : closed) {
            char byte = 'x';
            if (::write(fd, &byte, 1) >= 0) end(Found::output_taken);
            if (::read(fd, &byte, 1) != 0) end(Found::input_not_empty);
        }
        end(Found::all_well);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    return static_cast<Found>(WEXITSTATUS(status));
}

}  // namespace

TEST_CASE("a closed standard descriptor's number is given to no file", "[base]") {
    CHECK(found_with_closed({0}) == Found::all_well);
    CHECK(found_with_closed({1}) == Found::all_well);
    CHECK(found_with_closed({2}) == Found::all_well);
    CHECK(found_with_closed({0, 2}) == Found::all_well);
    CHECK(found_with_closed({0, 1, 2}) == Found::all_well);
}

TEST_CASE("standard descriptors that are open stay as they are", "[base]") {
    const pid_t child = ::fork();
    if (child == 0) {
        int ends[2];
        const bool piped = ::pipe(ends) == 0 && ::dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO;
        const bool opened = prepare_standard_descriptors().ok();
        char byte = 'x';
        const bool passed = ::write(STDOUT_FILENO, &byte, 1) == 1 && ::read(ends[0], &byte, 1) == 1;
        ::_exit(piped && opened && passed ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}
