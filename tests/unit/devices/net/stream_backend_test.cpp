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
    while (bench.backend->has_room()) {
        const Bytes framed = on_the_wire(frame(9000, 1));
        expected.insert(expected.end(), framed.begin(), framed.end());
        bench.backend->send(to_send(frame(9000, 1)));
    }
    bench.backend->withdraw();
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

TEST_CASE("a peer that comes back is found by the socket's path", "[net]") {
    const TempDirectory directory;
    const std::string path = directory.path() + "/net";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(path, address.sun_path);
    const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
            0);
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
