// SPDX-License-Identifier: Apache-2.0
// Lifelines over real TCP on the loopback. What signs say is life_signs_test.cpp's.
#include "lockstep/channel/tcp_lifeline.h"

#include <sys/socket.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <catch2/catch.hpp>
#include <thread>

#include "base/event_fd.h"
#include "lockstep/channel/joiner.h"
#include "lockstep/channel/sign.h"
#include "support/fake_lines.h"
#include "support/transports.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using namespace std::chrono_literals;

namespace {

class CountingHalf : public PermitHalf {
  public:
    std::chrono::microseconds sending(std::uint64_t number, bool, BootTime) override {
        sent = number;
        return {};
    }
    bool takes(std::chrono::microseconds, BootTime) override { return true; }
    void echoed(std::uint64_t number, BootTime) override { newest_echo = number; }
    int wanted() const override { return wanted_.get(); }
    void want() const { signal_eventfd(wanted_.get()); }

    std::atomic<std::uint64_t> sent = 0;
    std::atomic<std::uint64_t> newest_echo = 0;

  private:
    const UniqueFd wanted_ = create_eventfd().value();
};

// The loop of the lifelines' user.
class User {
  public:
    ~User() {
        loop.stop();
        thread_.join();
    }
    Lifeline::Terms terms(PermitHalf& half, Heartbeat::Role role,
                          std::chrono::milliseconds interval = 10ms) {
        return {interval, role, half, [this](const std::string& why) {
                    lost = why;
                    is_lost = true;
                }};
    }

    boost::asio::io_context loop{1};
    std::string lost;
    std::atomic<bool> is_lost = false;

  private:
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        loop.get_executor()};
    std::thread thread_{[this] { loop.run(); }};
};

struct Sockets {
    Sockets() {
        int both[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, both) == 0);
        near = UniqueFd(both[0]);
        far = UniqueFd(both[1]);
    }
    UniqueFd near, far;
};

}  // namespace

TEST_CASE("lifeline: both sides hear each other, and echoes come back", "[life]") {
    User user;
    CountingHalf primary_half, backup_half;
    Sockets sockets;
    const auto primary = make_lifeline(user.loop, in_the_clear(std::move(sockets.near)),
                                       user.terms(primary_half, Heartbeat::Role::answers))
                             .value();
    const auto backup = make_lifeline(user.loop, in_the_clear(std::move(sockets.far)),
                                      user.terms(backup_half, Heartbeat::Role::leads))
                            .value();
    primary->handled(17);
    CHECK(eventually([&] { return backup->peer_work().handled == 17; }));
    CHECK(eventually([&] { return primary_half.newest_echo >= 3; }));
    CHECK(backup->last_sign());
    CHECK_FALSE(user.is_lost);
}

TEST_CASE("lifeline: a sign that is wanted goes out at once", "[life]") {
    User user;
    CountingHalf primary_half, backup_half;
    Sockets sockets;
    const auto primary = make_lifeline(user.loop, in_the_clear(std::move(sockets.near)),
                                       user.terms(primary_half, Heartbeat::Role::answers, 1h))
                             .value();
    const auto backup = make_lifeline(user.loop, in_the_clear(std::move(sockets.far)),
                                      user.terms(backup_half, Heartbeat::Role::leads, 1h))
                            .value();
    CHECK(eventually([&] { return primary_half.newest_echo != 0; }));
    const std::uint64_t before = primary_half.sent;
    primary_half.want();
    CHECK(eventually([&] { return primary_half.newest_echo > before; }));
}

TEST_CASE("lifeline: a peer that closes it, or says what is no sign, is told of once", "[life]") {
    User user;
    CountingHalf half;
    Sockets sockets;
    const auto lifeline = make_lifeline(user.loop, in_the_clear(std::move(sockets.near)),
                                        user.terms(half, Heartbeat::Role::leads))
                              .value();
    SECTION("it closes") {
        sockets.far.reset();
        CHECK(eventually([&] { return user.is_lost.load(); }));
        CHECK_FALSE(user.lost.empty());
    }
    SECTION("it says something else") {
        const std::string text(sign_bytes, 'x');
        REQUIRE(::send(sockets.far.get(), text.data(), text.size(), MSG_NOSIGNAL) > 0);
        CHECK(eventually([&] { return user.is_lost.load(); }));
        CHECK(user.lost == "a sign of life is damaged");
    }
    SECTION("it echoes what was never sent") {
        const SignBytes lie = encode({.number = 1, .echo = 1'000'000});
        REQUIRE(::send(sockets.far.get(), lie.data(), lie.size(), MSG_NOSIGNAL) > 0);
        CHECK(eventually([&] { return user.is_lost.load(); }));
        CHECK(user.lost == "it echoes a sign of life that was never sent");
    }
}

TEST_CASE("lifeline: a peer that reads no signs is lost", "[life]") {
    User user;
    CountingHalf half;
    Sockets sockets;
    const auto lifeline = make_lifeline(user.loop, in_the_clear(std::move(sockets.near)),
                                        user.terms(half, Heartbeat::Role::leads, 1ms))
                              .value();
    CHECK(eventually([&] {
        half.want();
        return user.is_lost.load();
    }));
    CHECK(user.lost == "it reads no signs of life");
}

TEST_CASE("lifeline: nobody is told of one that its user has ended", "[life]") {
    User user;
    CountingHalf half;
    Sockets sockets;
    make_lifeline(user.loop, in_the_clear(std::move(sockets.near)),
                  user.terms(half, Heartbeat::Role::leads))
        .value()
        .reset();
    char byte = 0;
    while (::recv(sockets.far.get(), &byte, 1, 0) == 1) {
    }
    CHECK_FALSE(user.is_lost);
}

TEST_CASE("lifeline: one that cannot join is lost, with the reason", "[life]") {
    User user;
    CountingHalf half;
    boost::asio::io_context loop;
    boost::asio::ip::tcp::acceptor acceptor(loop, {boost::asio::ip::address_v4::loopback(), 0});
    const Endpoint endpoint{"127.0.0.1", acceptor.local_endpoint().port()};
    acceptor.close();
    const auto lifeline = join_by_lifeline(user.loop, endpoint, nullptr, JoinMessage{},
                                           user.terms(half, Heartbeat::Role::answers))
                              .value();
    CHECK(eventually([&] { return user.is_lost.load(); }));
    CHECK(user.lost.starts_with("cannot connect"));
    CHECK_FALSE(lifeline->last_sign());
}
