// SPDX-License-Identifier: Apache-2.0
#include "base/background_writer.h"

#include <fcntl.h>
#include <pty.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "support/pipe.h"
#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::test;
using namespace std::chrono_literals;

namespace {

constexpr auto long_enough = 30s;

// Fills a pipe that nobody reads; how many bytes it took.
std::size_t fill(const Pipe& pipe) {
    REQUIRE(::fcntl(pipe.write_end.get(), F_SETFL, O_NONBLOCK) == 0);
    const std::string filling(512, '.');
    std::size_t taken = 0;
    while (::write(pipe.write_end.get(), filling.data(), filling.size()) > 0)
        taken += filling.size();
    REQUIRE(::fcntl(pipe.write_end.get(), F_SETFL, 0) == 0);
    return taken;
}

std::string line(int number) {
    return fmt::format("line {:04}\n", number);
}

bool ends_with(const std::string& text, const std::string& end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

TEST_CASE("a background writer writes all that it was given, in order", "[log]") {
    const Pipe pipe;
    BackgroundWriter writer(pipe.write_end.get());
    std::string expected;
    for (int i = 0; i < 1000; ++i) {
        writer.write(line(i));
        expected += line(i);
    }
    CHECK(writer.flush(long_enough));
    CHECK(pipe.read_exactly(expected.size()) == expected);
}

TEST_CASE("a reader that reads nothing stops nobody who writes", "[log]") {
    const Pipe pipe;
    const std::size_t before = fill(pipe);
    constexpr int lines = 1000;
    BackgroundWriter writer(pipe.write_end.get(), 20 * line(0).size());
    for (int i = 0; i < lines; ++i)
        writer.write(line(i));
    CHECK_FALSE(writer.flush(1ms));

    // Once it reads again, it is told how many lines are missing, and where.
    pipe.read_exactly(before);
    CHECK(writer.flush(long_enough));
    writer.write("after\n");
    CHECK(writer.flush(long_enough));
    std::string text;
    while (!ends_with(text, "after\n"))
        text += pipe.read_some(4096);
    // When the thread took its first lines is its own affair; whatever is missing is told there.
    int told = 0, kept = 0, missing = 0;
    while (text != "after\n") {
        if (text.starts_with(line(kept + missing))) {
            text.erase(0, line(kept++).size());
            continue;
        }
        const int lost = std::stoi(text.substr(text.find(' ')));
        const std::string notice = fmt::format(
            "fmvm: {} lines are missing here: nobody took them, or they could not be written\n",
            lost);
        REQUIRE(text.starts_with(notice));
        text.erase(0, notice.size());
        missing += lost;
        ++told;
    }
    CHECK(kept >= 20);
    CHECK(told >= 1);
    CHECK(kept + missing == lines);
}

TEST_CASE("the sentence that ends a process is not lost for want of room", "[log]") {
    const Pipe pipe;
    const std::size_t before = fill(pipe);
    BackgroundWriter writer(pipe.write_end.get(), 10);
    writer.write("a line without room\n");
    writer.write_above_limit("the sentence\n");
    pipe.read_exactly(before);
    CHECK(writer.flush(long_enough));
    CHECK(pipe.read_exactly(13) == "the sentence\n");
}

TEST_CASE("progress is left out while something waits for the reader", "[log]") {
    const Pipe pipe;
    const std::size_t before = fill(pipe);
    BackgroundWriter writer(pipe.write_end.get());
    writer.offer("10 %");
    writer.offer("20 %");
    writer.offer("30 %");
    pipe.read_exactly(before);
    CHECK(writer.flush(long_enough));
    writer.offer("40 %");
    CHECK(writer.flush(long_enough));
    CHECK(pipe.read_exactly(8) == "10 %40 %");
}

TEST_CASE("a log whose reader is gone, or whose disk is full, delays nobody", "[log]") {
    Pipe pipe;
    pipe.read_end.reset();
    const UniqueFd full(::open("/dev/full", O_WRONLY));
    const UniqueFd unwritable(::open("/dev/null", O_RDONLY));
    for (const int fd : {pipe.write_end.get(), full.get(), unwritable.get()}) {
        BackgroundWriter writer(fd);
        writer.write("nobody will see this\n");
        CHECK(writer.flush(long_enough));
    }
}

TEST_CASE("lines that could not be written are told once they can be", "[log]") {
    const TempFile file;
    const UniqueFd fd(::open(file.path().c_str(), O_WRONLY | O_APPEND));
    // A file that may not grow fails as a full disk does.
    const pid_t child = ::fork();
    if (child == 0) {
        ::signal(SIGXFSZ, SIG_IGN);
        BackgroundWriter writer(fd.get());
        rlimit room{0, RLIM_INFINITY};
        ::setrlimit(RLIMIT_FSIZE, &room);
        writer.write("one\ntwo\n");
        bool all = writer.flush(long_enough);
        room.rlim_cur = RLIM_INFINITY;
        ::setrlimit(RLIMIT_FSIZE, &room);
        writer.write("three\n");
        all = writer.flush(long_enough) && all;
        ::_exit(all ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    const auto bytes = file.read_all();
    CHECK(std::string(bytes.begin(), bytes.end()) ==
          "three\nfmvm: 2 lines are missing here: nobody took them, or they could not be "
          "written\n");
}

TEST_CASE("a terminal that Ctrl-S has stopped delays nobody", "[log]") {
    int master = -1;
    int slave = -1;
    REQUIRE(::openpty(&master, &slave, nullptr, nullptr, nullptr) == 0);
    const UniqueFd terminal(master);
    const UniqueFd ours(slave);
    REQUIRE(::tcflow(slave, TCOOFF) == 0);
    BackgroundWriter writer(slave);
    CHECK(writer.is_terminal());
    writer.write("later\n");
    CHECK_FALSE(writer.flush(1ms));
    REQUIRE(::tcflow(slave, TCOON) == 0);
    CHECK(writer.flush(long_enough));
}

TEST_CASE("without another thread to be had, what was said is written at the end", "[log]") {
    const Pipe pipe;
    const pid_t child = ::fork();
    if (child == 0) {
        // The limit does not count for root.
        const rlimit none{0, 0};
        if (::setrlimit(RLIMIT_NPROC, &none) != 0) ::_exit(2);
        if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(3);
        BackgroundWriter writer(pipe.write_end.get());
        writer.write("said\n");
        ::_exit(writer.flush(long_enough) ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(pipe.read_exactly(5) == "said\n");
}
