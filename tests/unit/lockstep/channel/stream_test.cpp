// SPDX-License-Identifier: Apache-2.0
// A stream in its loop, in the clear and under TLS: both do the same.
#include "lockstep/channel/stream.h"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include "support/fake_lines.h"
#include "support/tls_ends.h"
#include "support/transports.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

using Bytes = std::vector<std::uint8_t>;

Transport under_tls(UniqueFd socket, TlsSession::Role role) {
    auto session = std::make_unique<TlsSession>(std::make_shared<const TlsContext>(keys_of({1})),
                                                role, socket.get());
    return {std::move(socket), "192.0.2.1:7000", std::move(session)};
}

struct Streams {
    explicit Streams(bool tls) {
        SocketPair sockets;
        Transport one = tls ? under_tls(std::move(sockets.near), TlsSession::Role::client)
                            : in_the_clear(std::move(sockets.near));
        Transport other = tls ? under_tls(std::move(sockets.far), TlsSession::Role::server)
                              : in_the_clear(std::move(sockets.far));
        Moved first, second;
        do {
            first = one.shake_hands();
            second = other.shake_hands();
        } while (first.needs != Needs::nothing || second.needs != Needs::nothing);
        near.emplace(loop.get_executor(), std::move(one));
        far.emplace(loop.get_executor(), std::move(other));
    }
    template <typename Condition>
    bool run_until(Condition condition) {
        return eventually([&] {
            loop.restart();
            loop.poll();
            return condition();
        });
    }
    Moved read(Stream& stream, std::span<std::uint8_t> space) {
        std::optional<Moved> result;
        stream.read(space, [&](Moved moved) { result = std::move(moved); });
        REQUIRE_FALSE(result);  // never from within the call
        REQUIRE(run_until([&] { return result.has_value(); }));
        return *result;
    }

    boost::asio::io_context loop{1};
    std::optional<Stream> near, far;
};

}  // namespace

TEST_CASE("a stream writes all that it was given, to a reader who comes late", "[channel]") {
    Streams streams(GENERATE(false, true));
    const Bytes head(40, 1), body(3'000'000, 2), tail(1, 3);
    std::vector<boost::asio::const_buffer> pieces;
    for (const Bytes* bytes : {&head, &body, &tail})
        pieces.emplace_back(bytes->data(), bytes->size());
    std::optional<Moved> written;
    streams.near->write(pieces, [&](Moved moved) { written = std::move(moved); });
    streams.loop.poll();
    CHECK_FALSE(written);
    Bytes arrived;
    Bytes space(100'000);
    while (arrived.size() != 3'000'041) {
        const Moved moved = streams.read(*streams.far, space);
        REQUIRE_FALSE(moved.is_lost());
        arrived.insert(arrived.end(), space.begin(),
                       space.begin() + static_cast<std::ptrdiff_t>(moved.bytes));
    }
    REQUIRE(streams.run_until([&] { return written.has_value(); }));
    CHECK(written->bytes == 3'000'041);
    CHECK(arrived.front() == 1);
    CHECK(arrived[40] == 2);
    CHECK(arrived.back() == 3);
}

TEST_CASE("bytes that are given back to a transport are read first", "[channel]") {
    Streams streams(GENERATE(false, true));
    CHECK(streams.near->transport().write(Bytes{4, 5, 6}).bytes == 3);
    Bytes space(3);
    CHECK(streams.read(*streams.far, std::span(space).first(2)).bytes == 2);
    Transport transport = streams.far->release();
    transport.unread(std::span(space).first(2));
    transport.unread(Bytes{3});
    streams.far.emplace(streams.loop.get_executor(), std::move(transport));
    CHECK(streams.read(*streams.far, std::span(space).first(2)).bytes == 2);
    CHECK(space == Bytes{3, 4, 0});
    CHECK(streams.read(*streams.far, space).bytes == 1);
    CHECK(streams.read(*streams.far, space).bytes == 1);
    CHECK(space.front() == 6);
}

TEST_CASE("a stream that is closed ends what is under way on both sides", "[channel]") {
    Streams streams(GENERATE(false, true));
    Bytes space(10), other(10);
    std::optional<Moved> near, far;
    streams.near->read(space, [&](Moved moved) { near = std::move(moved); });
    streams.far->read(other, [&](Moved moved) { far = std::move(moved); });
    streams.loop.poll();
    streams.near->close();
    streams.near->close();
    REQUIRE(streams.run_until([&] { return near && far; }));
    CHECK(near->is_lost());
    CHECK(far->lost == peer_closed);
    CHECK(streams.near->transport().read(space).is_lost());
}
