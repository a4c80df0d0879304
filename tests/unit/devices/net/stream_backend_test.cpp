// SPDX-License-Identifier: Apache-2.0
#include "devices/net/stream_backend.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <optional>

#include "base/log.h"
#include "support/fake_lines.h"
#include "support/fake_net_backend.h"
#include "support/temp_directory.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

NetPacket to_send(const Bytes& bytes) {
    const Bytes packet = packet_of({}, bytes);
    return {packet.begin(), packet.end()};
}

Bytes on_the_wire(const Bytes& bytes) {
    const std::size_t size = bytes.size();
    Bytes framed{0, 0, static_cast<std::uint8_t>(size >> 8), static_cast<std::uint8_t>(size)};
    framed.insert(framed.end(), bytes.begin(), bytes.end());
    return framed;
}

UniqueFd bound_socket(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(path, address.sun_path);
    UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
            0);
    return listener;
}

// The backend and its other side, with no thread but the caller's.
struct Bench {
    explicit Bench(std::string path = {}) {
        log::set_level(log::Level::error);
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) ==
                0);
        peer = UniqueFd(ends[0]);
        backend.emplace(loop, UniqueFd(ends[1]), std::move(path));
        backend->on_change([this] { ++changes; });
    }
    ~Bench() { log::set_level(log::Level::notice); }

    void run() {
        loop.context().restart();
        loop.context().poll();
    }
    void say(const Bytes& bytes) const {
        REQUIRE(::send(peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(bytes.size()));
    }
    // All that the peer can read now.
    Bytes heard() const {
        Bytes all;
        std::array<std::uint8_t, 65536> part{};
        for (;;) {
            const ssize_t size = ::recv(peer.get(), part.data(), part.size(), 0);
            if (size <= 0) return all;
            all.insert(all.end(), part.begin(), part.begin() + size);
        }
    }
    // The next packet; empty: none.
    Bytes received() {
        Bytes packet(net_packet_size_max);
        packet.resize(backend->receive(packet));
        return packet;
    }

    EventLoop loop;  // never started
    UniqueFd peer;
    int changes = 0;
    std::optional<StreamBackend> backend;
};

}  // namespace

TEST_CASE("a frame leaves behind its length, without a header", "[net]") {
    Bench bench;
    CHECK(bench.backend->offloads() == 0);
    CHECK(bench.backend->link_up());
    bench.backend->send(to_send(frame(300, 1)));
    bench.backend->send(to_send(frame(60, 2)));
    CHECK(bench.backend->take_left() == 2);
    CHECK(bench.backend->take_left() == 0);
    Bytes expected = on_the_wire(frame(300, 1));
    const Bytes second = on_the_wire(frame(60, 2));
    expected.insert(expected.end(), second.begin(), second.end());
    CHECK((bench.heard() == expected));
}

TEST_CASE("frames come in whole, however they are cut", "[net]") {
    Bench bench;
    CHECK(bench.received().empty());
    Bytes both = on_the_wire(frame(300, 1));
    const Bytes second = on_the_wire(frame(60, 2));
    both.insert(both.end(), second.begin(), second.end());
    SECTION("together") {
        bench.say(both);
        bench.run();
        CHECK(bench.changes == 1);
    }
    SECTION("byte by byte") {
        for (std::size_t i = 0; i < both.size() - 1; ++i) {
            bench.say({both[i]});
            bench.run();
            if (i + 1 < 304) CHECK(bench.received().empty());
            if (i + 1 == 304) {
                CHECK((bench.received() == packet_of({}, frame(300, 1))));
                CHECK(bench.received().empty());
            }
        }
        bench.say({both.back()});
        bench.run();
        CHECK((bench.received() == packet_of({}, frame(60, 2))));
        CHECK(bench.received().empty());
        return;
    }
    CHECK((bench.received() == packet_of({}, frame(300, 1))));
    CHECK((bench.received() == packet_of({}, frame(60, 2))));
    CHECK(bench.received().empty());
}

TEST_CASE("a peer that reads nothing fills its socket, and nothing else", "[net]") {
    Bench bench;
    std::size_t sent = 0;
    Bytes expected;
    while (bench.backend->has_room()) {
        const Bytes bytes = frame(9000, static_cast<std::uint8_t>(sent++));
        const Bytes framed = on_the_wire(bytes);
        expected.insert(expected.end(), framed.begin(), framed.end());
        bench.backend->send(to_send(bytes));
        REQUIRE(sent < 10'000);
    }
    std::size_t left = bench.backend->take_left();
    CHECK(left == sent - 1);
    Bytes heard;
    while (heard.size() < expected.size()) {
        const Bytes part = bench.heard();
        heard.insert(heard.end(), part.begin(), part.end());
        bench.run();
        left += bench.backend->take_left();
    }
    CHECK((heard == expected));
    CHECK(left == sent);
    CHECK(bench.backend->has_room());
    CHECK(bench.changes != 0);
}

TEST_CASE("a packet that has begun to leave is finished after it was withdrawn", "[net]") {
    Bench bench;
    Bytes expected;
    const Bytes framed = on_the_wire(frame(60'000, 1));
    while (bench.backend->has_room()) {
        expected.insert(expected.end(), framed.begin(), framed.end());
        bench.backend->send(to_send(frame(60'000, 1)));
    }
    bench.backend->withdraw();
    // Where the socket was full between two packets, the last has not begun to leave.
    if (bench.backend->has_room()) expected.resize(expected.size() - framed.size());
    Bytes heard;
    while (heard.size() < expected.size()) {
        const Bytes part = bench.heard();
        heard.insert(heard.end(), part.begin(), part.end());
        bench.run();
    }
    CHECK((heard == expected));
    CHECK(bench.backend->take_left() == 0);
    bench.backend->send(to_send(frame(60, 2)));
    CHECK(bench.backend->take_left() == 1);
    CHECK((bench.heard() == on_the_wire(frame(60, 2))));
}

TEST_CASE("nothing leaves a socket without the permit, which each write asks for",
          "[net][output]") {
    Bench bench;
    int permits = 0;
    bench.backend->require_permit([&] { return permits-- > 0; });
    bench.backend->send(to_send(frame(60, 1)));
    CHECK_FALSE(bench.backend->has_room());
    CHECK_FALSE(bench.backend->say(frame(60, 9)));
    CHECK(bench.heard().empty());
    permits = 1;
    bench.backend->ask_again();
    CHECK(bench.changes == 1);
    CHECK((bench.heard() == on_the_wire(frame(60, 1))));
    CHECK(bench.backend->take_left() == 1);
    CHECK(bench.backend->say(frame(60, 9)));
    CHECK(bench.heard().empty());
    permits = 1;
    bench.backend->ask_again();
    CHECK((bench.heard() == on_the_wire(frame(60, 9))));
    CHECK(bench.backend->take_left() == 0);
}

TEST_CASE(
    "a packet that waits for the permit is forgotten when it is withdrawn, a frame of the "
    "host's is not",
    "[net][output]") {
    Bench bench;
    bool permitted = false;
    bench.backend->require_permit([&] { return permitted; });
    bench.backend->send(to_send(frame(60, 1)));
    bench.backend->withdraw();
    CHECK(bench.backend->say(frame(60, 9)));
    bench.backend->withdraw();
    permitted = true;
    bench.backend->ask_again();
    CHECK((bench.heard() == on_the_wire(frame(60, 9))));
    CHECK(bench.backend->take_left() == 0);
}

TEST_CASE("a length that no frame has ends the connection", "[net][hostile]") {
    Bench bench;
    const std::uint32_t length = GENERATE(0U, 13U, 65554U, 0x7fffffffU, 0xffffffffU);
    REQUIRE(length != net_frame_size_max);
    CHECK(bench.received().empty());
    bench.say({static_cast<std::uint8_t>(length >> 24), static_cast<std::uint8_t>(length >> 16),
               static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length), 1, 2});
    bench.run();
    CHECK(bench.received().empty());
    CHECK_FALSE(bench.backend->link_up());
    CHECK(bench.received().empty());
}

TEST_CASE("without a peer the link is down, and what is sent is lost", "[net]") {
    Bench bench;
    CHECK(bench.received().empty());
    SECTION("found by reading") {
        bench.peer.reset();
        bench.run();
        CHECK(bench.received().empty());
    }
    SECTION("found by writing") {
        bench.peer.reset();
        bench.backend->send(to_send(frame(60, 1)));
        CHECK(bench.backend->take_left() == 1);
    }
    CHECK_FALSE(bench.backend->link_up());
    CHECK(bench.backend->has_room());
    bench.backend->send(to_send(frame(60, 2)));
    CHECK(bench.backend->take_left() == 1);
    CHECK(bench.backend->has_room());
}

TEST_CASE("a socket is connected to only while the guest is at this end", "[net]") {
    const TempDirectory directory;
    const std::string path = directory.path() + "/net";
    const UniqueFd listener = bound_socket(path);
    REQUIRE(::listen(listener.get(), 1) == 0);
    Bench bench(path);
    bench.backend->plug(false);
    CHECK_FALSE(bench.backend->link_up());
    std::uint8_t byte = 0;
    CHECK(::recv(bench.peer.get(), &byte, 1, 0) == 0);  // it has closed
    bench.backend->plug(true);
    CHECK(bench.backend->link_up());
    bench.peer = UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK));
    REQUIRE(bench.peer);
    bench.backend->say(frame(60, 3));
    CHECK(bench.backend->take_left() == 0);
    CHECK((bench.heard() == on_the_wire(frame(60, 3))));
}

TEST_CASE("what a socket without a path brought before the guest came is dropped", "[net]") {
    Bench bench;
    bench.backend->plug(false);
    bench.say(on_the_wire(frame(60, 1)));
    bench.backend->plug(true);
    CHECK(bench.received().empty());
    bench.say(on_the_wire(frame(60, 2)));
    bench.run();
    CHECK((bench.received() == packet_of({}, frame(60, 2))));
}

TEST_CASE("a peer that comes back is found by the socket's path", "[net]") {
    const TempDirectory directory;
    const std::string path = directory.path() + "/net";
    const UniqueFd listener = bound_socket(path);
    Bench bench(path);
    CHECK(bench.received().empty());
    bench.peer.reset();
    bench.run();
    CHECK(bench.received().empty());
    CHECK_FALSE(bench.backend->link_up());
    REQUIRE(::listen(listener.get(), 1) == 0);
    const auto deadline = std::chrono::steady_clock::now() + wait_limit;
    while (!bench.backend->link_up()) {
        REQUIRE(std::chrono::steady_clock::now() < deadline);
        bench.loop.context().restart();
        bench.loop.context().run_one_for(std::chrono::milliseconds(100));
    }
    bench.peer = UniqueFd(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK));
    REQUIRE(bench.peer);
    bench.backend->send(to_send(frame(60, 3)));
    CHECK((bench.heard() == on_the_wire(frame(60, 3))));
    bench.say(on_the_wire(frame(60, 4)));
    CHECK((bench.received() == packet_of({}, frame(60, 4))));
}

TEST_CASE("a socket that cannot be reached is refused, with the remedy", "[net]") {
    const auto nobody = connect_stream("/nonexistent/net");
    REQUIRE_FALSE(nobody.ok());
    CHECK_THAT(nobody.error().message(),
               Catch::Contains("socket=/nonexistent/net: No such file or directory; start what"));
    const auto too_long = connect_stream(std::string(108, 'x'));
    REQUIRE_FALSE(too_long.ok());
    CHECK_THAT(too_long.error().message(), Catch::Contains("1 to 107 bytes"));
    CHECK_FALSE(connect_stream("").ok());
}
