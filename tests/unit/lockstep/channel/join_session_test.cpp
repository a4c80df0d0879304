// SPDX-License-Identifier: Apache-2.0
// Both ends of a connection that joins a channel, over real TCP on the loopback: who asks
// (join_session.h), who finds out what he wants (first_looks.h) and who answers (joiner.h).
#include "lockstep/channel/join_session.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <thread>

#include "base/event_fd.h"
#include "lockstep/channel/first_looks.h"
#include "lockstep/channel/tcp_connect.h"
#include "support/fake_lines.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;

namespace {

const JoinMessage lifeline_join{JoinKind::lifeline, VmId{7}, 9, SessionId{8}};

// A backup that knows one session, and greets everybody else.
class Port {
  public:
    Port() {
        listener_ =
            Listener::listen({loop_, loop_}, Endpoint::parse("127.0.0.1:0").value(), nullptr,
                             {.channel = [this](std::unique_ptr<Channel>) { ++channels; },
                              .join = [this](Joiner joiner) { answer(std::move(joiner)); }})
                .value();
        thread_ = std::thread([this] { loop_.run(); });
    }
    ~Port() {
        loop_.stop();
        thread_.join();
    }
    Endpoint endpoint() const { return listener_->endpoint(); }
    Result<Transport> joined_by(const JoinMessage& join) const {
        return join_session(endpoint(), nullptr, join, test::wait_limit, -1);
    }

    std::atomic<unsigned> channels = 0;
    std::atomic<unsigned> joins = 0;

  private:
    void answer(Joiner joiner) {
        ++joins;
        CHECK(joiner.peer().starts_with("127.0.0.1:"));
        if (joiner.message().session != lifeline_join.session)
            return joiner.refuse("not this session");
        Transport transport = joiner.accept();
        CHECK(transport.write(Body{'x'}).bytes == 1);
    }

    boost::asio::io_context loop_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        loop_.get_executor()};
    std::unique_ptr<Listener> listener_;
    std::thread thread_;
};

// Somebody who says what the test wants.
class Stranger {
  public:
    explicit Stranger(const Endpoint& to) {
        const sockaddr_in address{.sin_family = AF_INET,
                                  .sin_port = htons(to.port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)},
                                  .sin_zero = {}};
        REQUIRE(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                          sizeof address) == 0);
    }
    void say(std::span<const std::uint8_t> bytes) {
        REQUIRE(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(bytes.size()));
    }
    void end() { ::shutdown(socket_.get(), SHUT_WR); }
    // The sentence with which it was refused.
    std::string refusal() {
        FrameDecoder decoder;
        while (true) {
            const std::span<std::uint8_t> space = decoder.space();
            const ssize_t count = ::recv(socket_.get(), space.data(), space.size(), 0);
            REQUIRE(count > 0);
            const auto frame = decoder.received(static_cast<std::size_t>(count)).value();
            if (frame) return RefuseMessage::decode(frame->body).value().reason;
        }
    }

  private:
    UniqueFd socket_{::socket(AF_INET, SOCK_STREAM, 0)};
};

Body frame_of(FrameType type, const Body& body) {
    const FrameHeader header = make_frame_header(type, 0, body);
    Body frame(header.begin(), header.end());
    frame.insert(frame.end(), body.begin(), body.end());
    return frame;
}

}  // namespace

TEST_CASE("joining: who belongs to the session has the connection, from its first byte on") {
    Port port;
    Result<Transport> joined = port.joined_by(lifeline_join);
    REQUIRE(joined.ok());
    std::array<std::uint8_t, 2> bytes{};
    CHECK(test::eventually([&] { return joined->read(bytes).bytes == 1; }));
    CHECK(bytes[0] == 'x');
    CHECK(port.channels == 0);
}

TEST_CASE("joining: who does not belong to the session is told why") {
    Port port;
    JoinMessage other = lifeline_join;
    other.session = {};
    CHECK(port.joined_by(other).error().message() == "it refuses: not this session");
}

TEST_CASE("joining: a backup that is not there is an error, and so is one that says nothing") {
    boost::asio::io_context loop;
    boost::asio::ip::tcp::acceptor silent(loop, {boost::asio::ip::address_v4::loopback(), 0});
    const Endpoint endpoint{"127.0.0.1", silent.local_endpoint().port()};
    CHECK(join_session(endpoint, nullptr, lifeline_join, 20ms, -1).error().message() ==
          "it does not answer");
    silent.close();
    CHECK_FALSE(join_session(endpoint, nullptr, lifeline_join, test::wait_limit, -1).ok());
}

TEST_CASE("joining: nobody waits longer than he wants to") {
    boost::asio::io_context loop;
    boost::asio::ip::tcp::acceptor silent(loop, {boost::asio::ip::address_v4::loopback(), 0});
    const UniqueFd give_up = create_eventfd().value();
    signal_eventfd(give_up.get());
    CHECK_FALSE(join_session({"127.0.0.1", silent.local_endpoint().port()}, nullptr, lifeline_join,
                             2 * test::wait_limit, give_up.get())
                    .ok());
}

TEST_CASE("joining: who says anything else, or nothing, is greeted as one who wants a channel") {
    Port port;
    Stranger primary(port.endpoint()), other(port.endpoint()), silent(port.endpoint());
    primary.say(frame_of(FrameType::hello, {1, 2, 3}));
    other.say(Body(100, 'x'));
    CHECK(test::eventually([&] { return port.channels == 3; }));
    CHECK(port.joins == 0);
}

TEST_CASE("joining: a join that comes in pieces is one") {
    Port port;
    Stranger slow(port.endpoint());
    JoinMessage other = lifeline_join;
    other.session = {};
    const Body frame = frame_of(FrameType::join, other.encode());
    slow.say(std::span(frame).first(50));
    std::this_thread::sleep_for(20ms);
    slow.say(std::span(frame).subspan(50));
    CHECK(slow.refusal() == "not this session");
}

TEST_CASE("joining: a join that is none is refused, and one that is cut short is no join") {
    Port port;
    Stranger longer(port.endpoint()), damaged(port.endpoint()), cut(port.endpoint());
    Body body = lifeline_join.encode();
    body.push_back(0);
    longer.say(frame_of(FrameType::join, body));
    CHECK(longer.refusal() == "a join of another size");
    Body frame = frame_of(FrameType::join, lifeline_join.encode());
    frame.back() ^= 1;
    damaged.say(frame);
    CHECK(damaged.refusal() == "a frame body is damaged");
    cut.say(std::span(frame).first(60));
    cut.end();
    CHECK(test::eventually([&] { return port.channels == 1; }));
    CHECK(port.joins == 0);
}

TEST_CASE("joining: many who say nothing do not keep anybody from being looked at for long") {
    Port port;
    std::vector<std::unique_ptr<Stranger>> silent;
    for (std::size_t i = 0; i < FirstLooks::looks_max; ++i)
        silent.push_back(std::make_unique<Stranger>(port.endpoint()));
    CHECK(test::eventually([&] { return port.channels == FirstLooks::looks_max; }));
    CHECK(port.joined_by(lifeline_join).ok());
}
