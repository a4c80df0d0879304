// SPDX-License-Identifier: Apache-2.0
#include "lockstep/output/console_gate.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <thread>

#include "base/log.h"

using namespace fmvm;
using namespace fmvm::lockstep;

namespace {

// Takes all; has room, and what it has not written yet, as the test says.
class GateSink : public OutputSink {
  public:
    void write(std::span<const std::uint8_t> bytes) override {
        taken.append(bytes.begin(), bytes.end());
    }
    bool has_room() const override { return room; }
    std::uint64_t unwritten() const override { return pending; }
    std::vector<std::uint8_t> unwritten_bytes() const override {
        return {taken.end() - static_cast<std::ptrdiff_t>(pending), taken.end()};
    }
    void on_room(std::function<void()> handler) override { room_handler = std::move(handler); }

    std::string taken;
    std::atomic<bool> room = true;
    std::uint64_t pending = 0;
    std::function<void()> room_handler;
};

struct ConsoleGateBench {
    explicit ConsoleGateBench(std::uint64_t first = 0) : gate(sink, first) {
        gate.on_waiting([this] { ++waits; });
        gate.on_room([this] { ++rooms; });
    }
    void write(std::string_view text) {
        gate.write({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    }
    std::string close() {
        const ConsoleGate::EpochOutput output = gate.close_epoch();
        position = output.position;
        return {output.bytes.begin(), output.bytes.end()};
    }
    GateSink sink;
    ConsoleGate gate;
    int waits = 0;
    int rooms = 0;
    std::uint64_t position = 0;
};

}  // namespace

TEST_CASE("output gate: open, bytes pass", "[gate]") {
    ConsoleGateBench bench(100);
    bench.write("one");
    CHECK(bench.sink.taken == "one");
    CHECK(bench.gate.position() == 103);
    CHECK(bench.waits == 0);
    CHECK_FALSE(bench.gate.waiting_since());
    CHECK(bench.close().empty());
    CHECK(bench.position == 103);
}

TEST_CASE("output gate: an epoch's bytes go when it is acknowledged, not before", "[gate]") {
    ConsoleGateBench bench(10);
    bench.gate.hold();
    bench.write("abc");
    bench.write("de");
    CHECK(bench.sink.taken.empty());
    CHECK(bench.waits == 1);
    CHECK(bench.gate.waiting_since());
    CHECK(bench.gate.position() == 15);
    CHECK(bench.close() == "abcde");
    CHECK(bench.position == 10);
    CHECK_FALSE(bench.gate.waiting_since());
    CHECK(bench.sink.taken.empty());
    CHECK(bench.gate.unwritten() == 5);

    bench.write("fg");  // the next epoch
    CHECK(bench.waits == 2);
    bench.gate.release(15);
    CHECK(bench.sink.taken == "abcde");
    CHECK(bench.gate.unwritten() == 2);
    CHECK(bench.close() == "fg");
    CHECK(bench.position == 15);
    bench.gate.release(17);
    CHECK(bench.sink.taken == "abcdefg");
}

TEST_CASE("output gate: several epochs under way, acknowledged together or twice", "[gate]") {
    ConsoleGateBench bench;
    bench.gate.hold();
    bench.write("a");
    CHECK(bench.close() == "a");
    CHECK(bench.close().empty());
    bench.write("bb");
    CHECK(bench.close() == "bb");
    bench.write("ccc");
    bench.gate.release(3);
    CHECK(bench.sink.taken == "abb");
    bench.gate.release(1);
    bench.gate.release(3);
    CHECK(bench.sink.taken == "abb");
    CHECK(bench.close() == "ccc");
    CHECK(bench.position == 3);
}

TEST_CASE("output gate: opened, everything goes, in order", "[gate]") {
    ConsoleGateBench bench;
    bench.gate.hold();
    bench.write("closed ");
    bench.close();
    bench.write("not closed ");
    bench.gate.open();
    CHECK_FALSE(bench.gate.waiting_since());
    bench.write("after");
    CHECK(bench.sink.taken == "closed not closed after");
    CHECK(bench.gate.unwritten() == 0);
    // A new backup: it begins where the guest is.
    bench.gate.hold();
    bench.write("!");
    CHECK(bench.close() == "!");
    CHECK(bench.position == 23);
    CHECK(bench.sink.taken == "closed not closed after");
}

TEST_CASE("output gate: the first epoch has what was not written yet, too", "[gate]") {
    ConsoleGateBench bench(100);
    bench.write("shown, on its way ");
    bench.sink.pending = 11;
    bench.gate.hold();
    bench.write("held");
    const ConsoleGate::EpochOutput first = bench.gate.close_first_epoch();
    CHECK(std::string(first.bytes.begin(), first.bytes.end()) == "on its way held");
    CHECK(first.position == 107);
    CHECK(bench.gate.shown() == 107);
    CHECK(bench.sink.taken == "shown, on its way ");
    bench.write("next");
    CHECK(bench.close() == "next");
    CHECK(bench.position == 122);
    bench.gate.release(122);
    CHECK(bench.sink.taken == "shown, on its way held");
}

TEST_CASE("output gate: shown is what has left the process", "[gate]") {
    ConsoleGateBench bench(1000);
    bench.gate.hold();
    bench.write("abcdef");
    bench.close();
    CHECK(bench.gate.shown() == 1000);
    bench.gate.release(1006);
    bench.sink.pending = 4;
    CHECK(bench.gate.shown() == 1002);
    bench.sink.pending = 0;
    CHECK(bench.gate.shown() == 1006);
    bench.sink.pending = 5000;  // bytes from before this gate
    CHECK(bench.gate.shown() == 0);
}

TEST_CASE("output gate: a guest that waits loses nothing and is told to go on", "[gate]") {
    ConsoleGateBench bench;
    bench.gate.hold();
    std::string sent;
    while (bench.gate.has_room()) {
        bench.write("0123456789abcdef");
        sent += "0123456789abcdef";
    }
    CHECK(sent.size() == ConsoleGate::room_limit);
    bench.close();
    CHECK(bench.rooms == 0);
    bench.gate.release(ConsoleGate::room_limit / 4);
    CHECK(bench.rooms == 0);  // not for every byte
    bench.gate.release(ConsoleGate::room_limit * 3 / 4);
    CHECK(bench.rooms == 1);
    bench.gate.release(ConsoleGate::room_limit);
    CHECK(bench.rooms == 1);  // told once
    CHECK((bench.sink.taken == sent));
}

TEST_CASE("output gate: a guest that was told to wait goes on when the gate opens", "[gate]") {
    ConsoleGateBench bench;
    bench.gate.hold();
    bench.write(std::string(ConsoleGate::room_limit, 'x'));
    CHECK_FALSE(bench.gate.has_room());
    bench.gate.open();
    CHECK(bench.rooms == 1);
    CHECK(bench.gate.has_room());
}

TEST_CASE("output gate: a slow reader makes the guest wait, too", "[gate]") {
    ConsoleGateBench bench;
    bench.sink.room = false;
    CHECK_FALSE(bench.gate.has_room());
    bench.sink.room = true;
    bench.sink.room_handler();
    CHECK(bench.rooms == 1);
    CHECK(bench.gate.has_room());
}

TEST_CASE("output gate: a guest that does not wait loses output, we no memory", "[gate]") {
    log::set_level(log::Level::error);
    ConsoleGateBench bench;
    bench.gate.hold();
    const std::string piece(1000, 'x');
    for (int i = 0; i < 10'000; ++i)
        bench.write(piece);
    const std::size_t kept = ConsoleGate::held_bytes_max / piece.size() * piece.size();
    CHECK(bench.gate.unwritten() == kept);
    CHECK(bench.gate.position() == kept);  // what was lost has no position
    CHECK(bench.close().size() == kept);
    bench.gate.release(kept);
    CHECK(bench.sink.taken.size() == kept);
    bench.write("and on");
    CHECK(bench.close() == "and on");
    CHECK(bench.position == kept);
    bench.gate.open();
    bench.write(std::string(ConsoleGate::held_bytes_max * 2, 'y'));  // nothing is held now
    CHECK(bench.sink.taken.size() == kept + 6 + ConsoleGate::held_bytes_max * 2);
    log::set_level(log::Level::notice);
}

TEST_CASE("output gate: vCPUs write while epochs come and go", "[gate][threads]") {
    GateSink sink;
    ConsoleGate gate(sink);
    gate.hold();
    constexpr int lines = 20'000;
    std::atomic<bool> done = false;
    std::thread guest([&] {
        for (int i = 0; i < lines; ++i) {
            const std::string line = fmt::format("{}\n", i);
            while (!gate.has_room())
                std::this_thread::yield();
            gate.write({reinterpret_cast<const std::uint8_t*>(line.data()), line.size()});
        }
        done = true;
    });
    std::string shipped;
    while (!done || gate.unwritten() != 0) {
        const ConsoleGate::EpochOutput output = gate.close_epoch();
        if (output.position != shipped.size()) break;
        shipped.append(output.bytes.begin(), output.bytes.end());
        gate.release(shipped.size());
    }
    guest.join();
    std::string expected;
    for (int i = 0; i < lines; ++i)
        expected += fmt::format("{}\n", i);
    CHECK((shipped == expected));
    CHECK((sink.taken == expected));
}
