// SPDX-License-Identifier: Apache-2.0
#include "cli/report/progress_line.h"

#include <fcntl.h>
#include <pty.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <string>

#include "base/unique_fd.h"
#include "support/pipe.h"

using namespace fmvm;
using namespace fmvm::cli;

namespace {

constexpr std::chrono::seconds long_enough{30};

// A terminal, and what has been written to it.
class Terminal {
  public:
    Terminal() {
        int master = -1;
        int slave = -1;
        REQUIRE(::openpty(&master, &slave, nullptr, nullptr, nullptr) == 0);
        REQUIRE(::fcntl(master, F_SETFL, O_NONBLOCK) == 0);
        master_ = UniqueFd(master);
        slave_ = UniqueFd(slave);
        writer_.emplace(slave);
    }
    BackgroundWriter& writer() { return *writer_; }
    std::string seen() {
        CHECK(writer_->flush(long_enough));
        std::array<char, 4096> bytes{};
        const ssize_t count = ::read(master_.get(), bytes.data(), bytes.size());
        return count <= 0 ? "" : std::string(bytes.data(), static_cast<std::size_t>(count));
    }

  private:
    UniqueFd master_;
    UniqueFd slave_;
    std::optional<BackgroundWriter> writer_;
};

}  // namespace

TEST_CASE("a progress line shows on a terminal, and is taken away", "[cli]") {
    Terminal terminal;
    {
        ProgressLine line(terminal.writer());
        line.show("10 %");
        CHECK(terminal.seen() == "\r\x1b[K10 %\r");
    }
    CHECK(terminal.seen() == "\r\x1b[K");
}

TEST_CASE("a progress line that nothing was shown on leaves no trace", "[cli]") {
    Terminal terminal;
    {
        ProgressLine line(terminal.writer());
        line.clear();
    }
    {
        ProgressLine line(terminal.writer(), ProgressLine::AtEnd::leave);
        line.show("10 %");
    }
    CHECK(terminal.seen() == "\r\x1b[K10 %\r");
}

TEST_CASE("a progress line shows nothing where no terminal is", "[cli]") {
    fmvm::test::Pipe pipe;
    {
        BackgroundWriter writer(pipe.write_end.get());
        {
            ProgressLine line(writer);
            line.show("10 %");
        }
        CHECK(writer.flush(long_enough));
    }
    pipe.write_end.reset();
    CHECK(pipe.read_some(1).empty());
}
