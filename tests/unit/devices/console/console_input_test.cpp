// SPDX-License-Identifier: Apache-2.0
#include "devices/console/console_input.h"

#include <array>
#include <atomic>
#include <catch2/catch.hpp>

#include "devices/console/console_output.h"
#include "devices/console/serial.h"
#include "support/pipe.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

// Takes what fits and keeps it.
struct InputBench {
    InputBench() { loop.start(); }
    ~InputBench() {
        loop.stop();
        input.reset();
    }
    void connect(std::size_t initial_room) {
        room = initial_room;
        input = ConsoleInput::create(loop, pipe.read_end.get(),
                                     {[this] { return room.load(); },
                                      [this](std::span<const std::uint8_t> bytes) {
                                          too_much = too_much || bytes.size() > room;
                                          room -= std::min(room.load(), bytes.size());
                                          const std::lock_guard lock(mutex);
                                          text.append(bytes.begin(), bytes.end());
                                      }})
                    .value();
    }
    void give_room(std::size_t bytes) {
        room += bytes;
        input->room_changed();
    }
    void type(std::string_view bytes) {
        FMVM_CHECK(::write(pipe.write_end.get(), bytes.data(), bytes.size()) ==
                   static_cast<ssize_t>(bytes.size()));
    }
    std::string seen() {
        const std::lock_guard lock(mutex);
        return text;
    }

    Pipe pipe;
    EventLoop loop;
    std::atomic<std::size_t> room{0};
    std::atomic<bool> too_much{false};
    std::mutex mutex;
    std::string text;
    std::unique_ptr<ConsoleInput> input;
};

}  // namespace

TEST_CASE("console input: what is typed arrives in order", "[console]") {
    InputBench bench;
    bench.connect(1000);
    bench.type("hello ");
    CHECK(eventually([&] { return bench.seen() == "hello "; }));
    bench.type("world\n");
    CHECK(eventually([&] { return bench.seen() == "hello world\n"; }));
}

TEST_CASE("console input: a receiver that is full is told all the same, if it asked for that",
          "[console]") {
    std::atomic<bool> heard{false};
    InputBench bench;
    bench.input = ConsoleInput::create(
                      bench.loop, bench.pipe.read_end.get(),
                      {[] { return std::size_t{0}; },
                       [&](std::span<const std::uint8_t> bytes) { heard = bytes.size() == 4; },
                       std::chrono::milliseconds(20)})
                      .value();
    bench.type("quit");
    CHECK(eventually([&] { return heard.load(); }));
}

TEST_CASE("console input: never more than there is room for", "[console]") {
    InputBench bench;
    bench.connect(10);
    const std::string text = numbered_lines(3000);
    bench.type(text);
    CHECK(eventually([&] { return bench.seen().size() == 10; }));
    std::size_t given = 10;
    while (given < text.size()) {
        const std::size_t more = std::min<std::size_t>(given % 700 + 1, text.size() - given);
        bench.give_room(more);
        given += more;
        REQUIRE(eventually([&] { return bench.seen().size() == given; }));
    }
    CHECK((bench.seen() == text));
    CHECK_FALSE(bench.too_much);
}

TEST_CASE("console input: the end of the input ends nothing else", "[console]") {
    InputBench bench;
    bench.connect(1000);
    bench.type("last words");
    bench.pipe.write_end.reset();
    CHECK(eventually([&] { return bench.seen() == "last words"; }));
    bench.input->room_changed();
}

TEST_CASE("console input: goes away while it waits", "[console][threads]") {
    SECTION("for input") {
        InputBench bench;
        bench.connect(1000);
    }
    SECTION("for room") {
        InputBench bench;
        bench.connect(0);
        bench.type("never read");
    }
    SECTION("for the loop, which has stopped") {
        InputBench bench;
        bench.connect(1000);
        bench.loop.stop();
        bench.type("read, but not handed over");
    }
}

// The whole path of the guest's console under load, both ways at once: a slow host reader, a fast
// host writer, and a guest that polls.
TEST_CASE("serial console: no byte is lost in either direction under load",
          "[console][serial][threads]") {
    constexpr std::size_t bytes = 100000;
    const std::string text = numbered_lines(bytes);
    Pipe in;
    Pipe out;
    out.resize(4096);
    EventLoop loop;
    FakeIrq irq;
    auto output = std::make_unique<ConsoleOutput>(loop, std::move(out.write_end));
    Serial serial(irq, *output);
    output->on_room([&] { serial.output_ready(); });
    auto input =
        ConsoleInput::create(loop, in.read_end.get(),
                             {[&] { return serial.input_room(); },
                              [&](std::span<const std::uint8_t> got) { serial.receive(got); }})
            .value();
    serial.on_input_room([&] { input->room_changed(); });
    loop.start();

    std::thread host_writer([&] {
        for (std::size_t at = 0; at < bytes;) {
            const ssize_t done = ::write(in.write_end.get(), text.data() + at, bytes - at);
            if (done <= 0) break;
            at += static_cast<std::size_t>(done);
        }
    });
    std::string shown;
    std::thread host_reader([&] { shown = out.read_exactly(bytes); });

    std::string received;
    std::size_t sent = 0;
    const auto deadline = std::chrono::steady_clock::now() + 2 * wait_limit;
    while ((sent < bytes || received.size() < bytes) &&
           std::chrono::steady_clock::now() < deadline) {
        std::array<std::uint8_t, 1> byte{};
        serial.read(5, byte);
        const bool data_ready = (byte[0] & 0x01) != 0;
        const bool can_send = (byte[0] & 0x20) != 0;
        if (data_ready) {
            serial.read(0, byte);
            received.push_back(static_cast<char>(byte[0]));
        }
        if (can_send && sent < bytes) {
            byte[0] = static_cast<std::uint8_t>(text[sent++]);
            serial.write(0, byte);
        }
        if (!data_ready && !can_send) std::this_thread::yield();
    }
    host_reader.join();
    loop.stop();
    in.read_end.reset();
    input.reset();
    in.write_end.reset();
    host_writer.join();
    CHECK((received == text));
    CHECK((shown == text));
}

// The same with a guest that sends only when an interrupt tells it that it may. A lost edge would
// leave it waiting for ever.
TEST_CASE("serial console: an interrupt-driven sender never stalls", "[console][serial][threads]") {
    constexpr std::size_t bytes = 100000;
    const std::string text = numbered_lines(bytes);
    Pipe out;
    out.resize(4096);
    EventLoop loop;
    FakeIrq irq;
    auto output = std::make_unique<ConsoleOutput>(loop, std::move(out.write_end));
    Serial serial(irq, *output);
    output->on_room([&] { serial.output_ready(); });
    loop.start();
    std::string shown;
    std::thread host_reader([&] { shown = out.read_exactly(bytes); });

    const auto set = [&](std::uint64_t offset, std::uint8_t value) {
        serial.write(offset, std::array<std::uint8_t, 1>{value});
    };
    const auto get = [&](std::uint64_t offset) {
        std::array<std::uint8_t, 1> byte{};
        serial.read(offset, byte);
        return byte[0];
    };
    std::size_t sent = 0;
    std::size_t edges = 0;
    bool in_time = true;
    set(1, 0x02);
    while (sent < bytes && in_time) {
        in_time = irq.wait_for_edge(edges);
        while ((get(2) & 0x0f) == 0x02) {
            // As Linux: up to a FIFO's worth while the register says that it is empty.
            for (int i = 0; i < 16 && sent < bytes && (get(5) & 0x20) != 0; ++i) {
                set(0, static_cast<std::uint8_t>(text[sent++]));
            }
        }
    }
    CHECK(in_time);
    if (!in_time) output.reset();
    host_reader.join();
    loop.stop();
    CHECK((shown == text));
}
