// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/tls_session.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "support/tls_ends.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

using Bytes = std::vector<std::uint8_t>;
using Pieces = std::vector<boost::asio::const_buffer>;

Bytes pattern(std::size_t size) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
    return bytes;
}

// The bytes in pieces whose sizes take turns.
Pieces cut(const Bytes& bytes, std::initializer_list<std::size_t> sizes) {
    Pieces pieces;
    auto size = sizes.begin();
    for (std::size_t at = 0; at != bytes.size();) {
        const std::size_t count = std::min(*size, bytes.size() - at);
        pieces.emplace_back(bytes.data() + at, count);
        at += count;
        if (++size == sizes.end()) size = sizes.begin();
    }
    return pieces;
}

// What arrives when everything is offered until it has left. The sockets hold less than that.
Bytes move_all(TlsSession& from, TlsSession& to, std::span<const boost::asio::const_buffer> all) {
    Pieces pieces(all.begin(), all.end());
    Bytes arrived;
    Bytes space(10'000);
    std::size_t next = 0;
    while (true) {
        if (next != pieces.size()) {
            Moved moved = from.write(std::span(pieces).subspan(next));
            REQUIRE_FALSE(moved.is_lost());
            while (next != pieces.size() && moved.bytes >= pieces[next].size())
                moved.bytes -= pieces[next++].size();
            if (moved.bytes != 0) pieces[next] += moved.bytes;
        }
        const Moved read = to.read(space);
        REQUIRE_FALSE(read.is_lost());
        arrived.insert(arrived.end(), space.begin(),
                       space.begin() + static_cast<std::ptrdiff_t>(read.bytes));
        if (read.bytes == 0 && next == pieces.size()) return arrived;
    }
}

Moved write_one(TlsSession& session, const Bytes& bytes) {
    const boost::asio::const_buffer piece(bytes.data(), bytes.size());
    return session.write(std::span(&piece, 1));
}

int waiting_in(const UniqueFd& socket) {
    int count = 0;
    REQUIRE(::ioctl(socket.get(), FIONREAD, &count) == 0);
    return count;
}

}  // namespace

TEST_CASE("who holds the same key shakes hands, and pieces of any size arrive whole", "[tls]") {
    TlsEnds ends(keys_of({1}), keys_of({1}));
    ends.shake_hands();
    REQUIRE(ends.client_lost.empty());
    REQUIRE(ends.server_lost.empty());
    const Bytes bytes = pattern(2'000'000);
    for (const std::initializer_list<std::size_t> sizes :
         {std::initializer_list<std::size_t>{40, 4096},
          {2'000'000},
          {1},
          {16'384, 1},
          {100'000, 3}}) {
        const std::size_t count = sizes.size() == 1 && *sizes.begin() == 1 ? 1000 : bytes.size();
        const Bytes part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
        CHECK(move_all(ends.client, ends.server, cut(part, sizes)) == part);
        CHECK(move_all(ends.server, ends.client, cut(part, sizes)) == part);
    }
}

TEST_CASE("nothing that is said can be read from the wire", "[tls]") {
    TlsEnds ends(keys_of({1}), keys_of({1}));
    ends.shake_hands();
    const Bytes secret(64, 's');
    REQUIRE(write_one(ends.client, secret).bytes == secret.size());
    Bytes wire(1000);
    const ssize_t count = ::recv(ends.sockets.far.get(), wire.data(), wire.size(), 0);
    REQUIRE(count > 64);
    wire.resize(static_cast<std::size_t>(count));
    CHECK(std::ranges::search(wire, Bytes(4, 's')).empty());
}

TEST_CASE("who holds another key gets nowhere, and both sides are told what to do", "[tls]") {
    TlsEnds ends(keys_of({1}), keys_of({2}));
    ends.shake_hands();
    CHECK(ends.server_lost ==
          "it does not hold this side's key; give both sides --tls with the same one");
    CHECK(ends.client_lost ==
          "it does not take this side's key; give both sides --tls with the same one");
    CHECK(ends.server.shake_hands().lost == ends.server_lost);
}

TEST_CASE("while keys are changed, either is taken and the first is offered", "[tls]") {
    for (const auto& [client, server, taken] : {std::tuple{keys_of({1, 2}), keys_of({1}), true},
                                                {keys_of({1, 2}), keys_of({2, 1}), true},
                                                {keys_of({2}), keys_of({1, 2}), true},
                                                {keys_of({1, 2}), keys_of({2}), false}}) {
        TlsEnds ends(client, server);
        ends.shake_hands();
        CHECK(ends.server_lost.empty() == taken);
    }
}

TEST_CASE("a record that was changed on its way, or comes twice, is a loss", "[tls]") {
    TlsEnds ends(keys_of({1}), keys_of({1}));
    ends.shake_hands();
    REQUIRE(write_one(ends.client, pattern(100)).bytes == 100);
    Bytes record(1000);
    const ssize_t count = ::recv(ends.sockets.far.get(), record.data(), record.size(), 0);
    REQUIRE(count > 100);
    record.resize(static_cast<std::size_t>(count));
    Bytes space(1000);
    // What the client would send is what the server hears.
    const auto deliver = [&](const Bytes& bytes) {
        REQUIRE(::send(ends.sockets.near.get(), bytes.data(), bytes.size(), 0) == count);
        return ends.server.read(space);
    };
    SECTION("changed") {
        record.back() ^= 1;
        CHECK(deliver(record).lost == "what it sends is not genuine: somebody changes it");
    }
    SECTION("twice") {
        CHECK(deliver(record).bytes == 100);
        CHECK(deliver(record).lost == "what it sends is not genuine: somebody changes it");
    }
}

TEST_CASE("keys are renewed after so many records, and nothing is lost by it", "[tls]") {
    const auto wire_bytes = [](std::uint64_t records_per_key) {
        TlsEnds ends(keys_of({1}), keys_of({1}), records_per_key);
        ends.shake_hands();
        for (std::uint8_t i = 0; i < 20; ++i)
            REQUIRE(write_one(ends.client, Bytes(10, i)).bytes == 10);
        const int bytes = waiting_in(ends.sockets.far);
        Bytes space(10);
        for (std::uint8_t i = 0; i < 20; ++i) {
            REQUIRE(ends.server.read(space).bytes == 10);
            REQUIRE(space == Bytes(10, i));
        }
        return bytes;
    };
    CHECK(wire_bytes(4) > wire_bytes(1000));
    TlsEnds ends(keys_of({1}), keys_of({1}), 3);
    ends.shake_hands();
    const Bytes bytes = pattern(3'000'000);
    CHECK(move_all(ends.client, ends.server, cut(bytes, {40, 4096})) == bytes);
    CHECK(move_all(ends.server, ends.client, cut(bytes, {40, 4096})) == bytes);
}

TEST_CASE("a peer that ends is told apart from one that is not genuine", "[tls]") {
    TlsEnds ends(keys_of({1}), keys_of({1}));
    ends.shake_hands();
    REQUIRE(write_one(ends.client, pattern(100)).bytes == 100);
    REQUIRE(::shutdown(ends.sockets.near.get(), SHUT_WR) == 0);
    Bytes space(1000);
    CHECK(ends.server.read(space).bytes == 100);
    CHECK(ends.server.read(space).lost == peer_closed);
}
