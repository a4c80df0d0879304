// SPDX-License-Identifier: Apache-2.0
#include "devices/net/announcer.h"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include "support/fake_lines.h"
#include "support/fake_net_backend.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

void run_until_said(EventLoop& loop, const FakeWire& wire, std::size_t count) {
    const auto deadline = std::chrono::steady_clock::now() + wait_limit;
    while (wire.said.size() < count) {
        REQUIRE(std::chrono::steady_clock::now() < deadline);
        loop.context().restart();
        loop.context().run_one_for(std::chrono::seconds(2));
    }
}

}  // namespace

TEST_CASE("a card that has moved is announced six times, by its address alone", "[net]") {
    EventLoop loop;  // never started
    FakeWire wire;
    FakeNetBackend backend(wire);
    Announcer announcer(loop, backend, {{0x52, 0x54, 0, 1, 2, 3}});
    announcer.begin();
    run_until_said(loop, wire, 6);
    loop.context().restart();
    CHECK(loop.context().poll() == 0);                                          // and no more
    Bytes expected{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 1, 2, 3,  // Ethernet
                   0x80, 0x35, 0,    1,    8,    0,    6,    4,    0, 3,        // RARP, a request
                   0x52, 0x54, 0,    1,    2,    3,    0,    0,    0, 0,        // the sender
                   0x52, 0x54, 0,    1,    2,    3,    0,    0,    0, 0};       // the target
    expected.resize(60);
    for (const Bytes& said : wire.said)
        CHECK((said == expected));
    CHECK(backend.take_left() == 0);
}

TEST_CASE("an announcement that may not leave yet is tried until it does", "[net]") {
    EventLoop loop;  // never started
    FakeWire wire;
    FakeNetBackend backend(wire);
    Announcer announcer(loop, backend, {});
    wire.has_room_to_say = false;
    announcer.begin();
    for (int i = 0; i < 10; ++i) {  // more often than it announces
        loop.context().restart();
        CHECK(loop.context().run_one_for(wait_limit) == 1);
    }
    CHECK(wire.said.empty());
    wire.has_room_to_say = true;
    run_until_said(loop, wire, 6);
}

TEST_CASE("an announcer that goes leaves nothing behind", "[net]") {
    EventLoop loop;  // never started
    FakeWire wire;
    FakeNetBackend backend(wire);
    {
        Announcer announcer(loop, backend, {});
        announcer.begin();
        loop.context().poll();
        announcer.begin();
    }
    const std::size_t said = wire.said.size();
    loop.context().restart();
    loop.context().run_for(std::chrono::milliseconds(20));
    CHECK(wire.said.size() == said);
}
