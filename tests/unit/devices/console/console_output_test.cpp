// SPDX-License-Identifier: Apache-2.0
#include "devices/console/console_output.h"

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "base/log.h"
#include "support/pipe.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

struct OutputBench {
    explicit OutputBench(int pipe_bytes = 4096) {
        log::set_level(log::Level::error);
        ::signal(SIGPIPE, SIG_IGN);  // as fmvm run does
        pipe.resize(pipe_bytes);
        output = std::make_unique<ConsoleOutput>(loop, std::move(pipe.write_end));
    }
    ~OutputBench() {
        pipe.read_end.reset();  // nobody waits for what is left
        loop.stop();
        output.reset();
        log::set_level(log::Level::notice);
    }
    void write(std::string_view text) {
        output->write({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    }
    Pipe pipe;
    EventLoop loop;
    std::unique_ptr<ConsoleOutput> output;
};

}  // namespace

TEST_CASE("console output: bytes arrive in order", "[console]") {
    OutputBench bench;
    bench.write("from before the start\n");
    bench.loop.start();
    CHECK(bench.pipe.read_exactly(22) == "from before the start\n");
    bench.write("one\n");
    bench.write("two\n");
    CHECK(bench.pipe.read_exactly(8) == "one\ntwo\n");
}

TEST_CASE("console output: a piece of a line does not wait for its end", "[console]") {
    OutputBench bench;
    bench.loop.start();
    bench.write("login: ");
    CHECK(bench.pipe.read_exactly(7) == "login: ");
    bench.write("x");
    CHECK(bench.pipe.read_exactly(1) == "x");
}

TEST_CASE("console output: a slow reader loses nothing", "[console]") {
    OutputBench bench;
    bench.loop.start();
    const std::string text = numbered_lines(40000);
    for (std::size_t at = 0; at < text.size(); at += 100) {
        bench.write(std::string_view(text).substr(at, 100));
    }
    std::string seen;
    while (seen.size() < text.size()) {
        const std::string more = bench.pipe.read_some(997);
        if (more.empty()) break;
        seen += more;
    }
    CHECK((seen == text));
}

TEST_CASE("console output: says when room ends and when there is some again", "[console]") {
    FakeIrq told;  // the loop, which ends with the bench, may still call it
    OutputBench bench;
    bench.output->on_room([&] { told.raise(); });
    bench.loop.start();
    CHECK(bench.output->has_room());
    const std::string text = numbered_lines(ConsoleOutput::room_limit + 8192);
    bench.write(text);
    CHECK_FALSE(bench.output->has_room());
    CHECK(told.count() == 0);
    CHECK((bench.pipe.read_exactly(text.size()) == text));
    CHECK(told.wait_until([&] { return bench.output->has_room(); }));
}

TEST_CASE("console output: beyond the hard limit output is lost, not memory", "[console]") {
    OutputBench bench(1 << 20);
    const std::string block = numbered_lines(64 * 1024);
    constexpr std::size_t blocks = ConsoleOutput::hard_limit / (64 * 1024);
    for (std::size_t i = 0; i < blocks + 10; ++i)
        bench.write(block);
    bench.loop.start();
    std::size_t matching = 0;
    for (std::size_t i = 0; i < blocks; ++i) {
        matching += bench.pipe.read_exactly(block.size()) == block ? 1 : 0;
    }
    CHECK(matching == blocks);
    bench.write("and on\n");
    CHECK(bench.pipe.read_exactly(7) == "and on\n");
}

TEST_CASE("console output: what does not fit is lost, not all that came with it", "[console]") {
    OutputBench bench(1 << 20);
    const std::string text = numbered_lines(ConsoleOutput::hard_limit + 1000);
    bench.write(text);
    CHECK(bench.output->unwritten() == ConsoleOutput::hard_limit);
    bench.loop.start();
    CHECK((bench.pipe.read_exactly(ConsoleOutput::hard_limit) ==
           text.substr(0, ConsoleOutput::hard_limit)));
}

// Room is made while somebody looks how much there is: what is taken of a piece stays within it.
TEST_CASE("console output: a flood beyond the hard limit while the reader reads",
          "[console][threads]") {
    OutputBench bench(1 << 20);
    bench.write(std::string(ConsoleOutput::hard_limit, 'x'));
    bench.loop.start();
    std::atomic<bool> done{false};
    std::thread writer([&] {
        const auto piece = std::make_unique<std::uint8_t>(std::uint8_t{'x'});
        while (!done) {
            bench.output->write({piece.get(), 1});
            if (bench.output->unwritten() < ConsoleOutput::hard_limit / 2)
                bench.write(std::string(ConsoleOutput::hard_limit, 'x'));
        }
    });
    std::size_t strange = 0;
    for (std::size_t seen = 0; seen < 8 * ConsoleOutput::hard_limit;) {
        const std::string text = bench.pipe.read_some(100000);
        strange += text.size() - static_cast<std::size_t>(std::ranges::count(text, 'x'));
        seen += text.size();
    }
    done = true;
    writer.join();
    CHECK(strange == 0);
}

TEST_CASE("console output: what the reader has not taken can be looked at", "[console]") {
    OutputBench bench;
    const std::string text = numbered_lines(20000);
    bench.loop.start();
    bench.write(text);
    REQUIRE(eventually([&] { return bench.output->unwritten() < text.size(); }));  // the pipe's
    bench.write("and more\n");
    bench.loop.quiesce();
    const std::vector<std::uint8_t> left = bench.output->unwritten_bytes();
    CHECK(left.size() == bench.output->unwritten());
    const std::string all = text + "and more\n";
    CHECK((std::string(left.begin(), left.end()) == all.substr(all.size() - left.size())));
    bench.loop.resume();
    CHECK((bench.pipe.read_exactly(all.size()) == all));
}

TEST_CASE("console output: a reader that is gone stops nobody", "[console]") {
    OutputBench bench;
    bench.loop.start();
    const std::string text = numbered_lines(ConsoleOutput::room_limit + 1);
    bench.write(text);
    bench.pipe.read_end.reset();
    CHECK(eventually([&] { return bench.output->has_room(); }));
    bench.write(text);
    CHECK(eventually([&] { return bench.output->has_room(); }));
}

TEST_CASE("console output: what is left is written when it goes", "[console]") {
    Pipe pipe;
    EventLoop loop;
    auto output = std::make_unique<ConsoleOutput>(loop, std::move(pipe.write_end));
    const std::string text = numbered_lines(10000);
    output->write({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    loop.stop();
    output.reset();
    CHECK((pipe.read_exactly(text.size()) == text));
}

TEST_CASE("console output: a reader that comes late gets all, if it is waited for", "[console]") {
    Pipe pipe;
    EventLoop loop;
    pipe.resize(4096);
    auto output = std::make_unique<ConsoleOutput>(loop, std::move(pipe.write_end));
    output->wait_at_end(std::chrono::hours(1), [] { return false; });
    const std::string text = numbered_lines(20000);
    output->write({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    loop.stop();
    std::thread end([&] { output.reset(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(1200));
    CHECK((pipe.read_exactly(text.size()) == text));
    end.join();
}

TEST_CASE("console output: whoever waits for a late reader may give up", "[console]") {
    Pipe pipe;
    EventLoop loop;
    pipe.resize(4096);
    auto output = std::make_unique<ConsoleOutput>(loop, std::move(pipe.write_end));
    int asked = 0;
    output->wait_at_end(std::chrono::hours(1), [&asked] { return ++asked == 3; });
    const std::string text = numbered_lines(20000);
    output->write({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    loop.stop();
    output.reset();
    CHECK(asked == 3);
    CHECK((pipe.read_exactly(4096) == text.substr(0, 4096)));
}

TEST_CASE("console output: several writers, whole pieces", "[console][threads]") {
    OutputBench bench;
    bench.loop.start();
    std::vector<std::thread> writers;
    for (char name = 'a'; name < 'd'; ++name) {
        writers.emplace_back([&bench, name] {
            for (int i = 0; i < 500; ++i)
                bench.write(std::string(7, name) + '\n');
        });
    }
    const std::string seen = bench.pipe.read_exactly(3 * 500 * 8);
    for (std::thread& writer : writers)
        writer.join();
    REQUIRE(seen.size() == 3 * 500 * 8);
    std::size_t torn = 0;
    for (std::size_t at = 0; at < seen.size(); at += 8) {
        torn += seen.substr(at, 8) == std::string(7, seen[at]) + '\n' ? 0 : 1;
    }
    CHECK(torn == 0);
}
