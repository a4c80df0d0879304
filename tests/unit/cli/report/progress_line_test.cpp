// SPDX-License-Identifier: Apache-2.0
#include "cli/report/progress_line.h"

#include <fcntl.h>
#include <pty.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <string>

using namespace fmvm::cli;

namespace {

// A terminal, and what has been written to it.
class Terminal {
  public:
    Terminal() {
        int slave = -1;
        REQUIRE(::openpty(&master_, &slave, nullptr, nullptr, nullptr) == 0);
        REQUIRE(::fcntl(master_, F_SETFL, O_NONBLOCK) == 0);
        file_ = ::fdopen(slave, "w");
    }
    ~Terminal() {
        std::fclose(file_);
        ::close(master_);
    }
    std::FILE* file() const { return file_; }
    std::string seen() const {
        std::fflush(file_);
        std::array<char, 4096> bytes{};
        const ssize_t count = ::read(master_, bytes.data(), bytes.size());
        return count <= 0 ? "" : std::string(bytes.data(), static_cast<std::size_t>(count));
    }

  private:
    int master_ = -1;
    std::FILE* file_ = nullptr;
};

}  // namespace

TEST_CASE("a progress line shows on a terminal, and is taken away", "[cli]") {
    const Terminal terminal;
    {
        ProgressLine line(terminal.file());
        line.show("10 %");
        CHECK(terminal.seen() == "\r\x1b[K10 %\r");
    }
    CHECK(terminal.seen() == "\r\x1b[K");
}

TEST_CASE("a progress line that nothing was shown on leaves no trace", "[cli]") {
    const Terminal terminal;
    {
        ProgressLine line(terminal.file());
        line.clear();
    }
    {
        ProgressLine line(terminal.file(), ProgressLine::AtEnd::leave);
        line.show("10 %");
    }
    CHECK(terminal.seen() == "\r\x1b[K10 %\r");
}

TEST_CASE("a progress line shows nothing where no terminal is", "[cli]") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    std::FILE* const file = ::fdopen(ends[1], "w");
    {
        ProgressLine line(file);
        line.show("10 %");
    }
    std::fclose(file);
    char byte = 0;
    CHECK(::read(ends[0], &byte, 1) == 0);
    ::close(ends[0]);
}
