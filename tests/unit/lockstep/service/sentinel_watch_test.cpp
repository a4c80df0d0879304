// SPDX-License-Identifier: Apache-2.0
#include "lockstep/service/sentinel_watch.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <optional>

#include "lockstep/channel/tcp_connect.h"
#include "lockstep/sentinel/death_notice.h"
#include "lockstep/sentinel/sentinel.h"
#include "support/captured_log.h"
#include "support/fake_lines.h"
#include "support/hidden_test.h"
#include "support/tls_ends.h"
#include "support/transports.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

const SessionId session{8, 1, 2};

// A watch, and the other end of its connection.
struct Watched {
    Watched() {
        int ends[2];
        FMVM_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
        sentinel = UniqueFd(ends[0]);
        watch.emplace(loop, in_the_clear(UniqueFd(ends[1])), session, [this] {
            ++died;
            watch.reset();
        });
    }
    // Until there is nothing left to do.
    void run() {
        loop.restart();
        loop.run();
    }
    void say(std::span<const std::uint8_t> bytes) const {
        REQUIRE(::send(sentinel.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(bytes.size()));
    }
    boost::asio::io_context loop{1};
    UniqueFd sentinel;
    std::optional<SentinelWatch> watch;
    int died = 0;
};

}  // namespace

TEST_CASE("a sentinel that says the session once more says that its primary is dead",
          "[sentinel]") {
    Watched watched;
    watched.say(std::span(session).first(5));
    watched.loop.poll();
    CHECK(watched.died == 0);
    watched.say(std::span(session).subspan(5));
    watched.run();
    CHECK(watched.died == 1);
}

TEST_CASE("a sentinel that goes without its word says nothing", "[sentinel]") {
    Watched watched;
    watched.say(std::span(session).first(15));
    watched.sentinel.reset();
    watched.run();
    CHECK(watched.died == 0);
}

TEST_CASE("a sentinel that says something else is told of, and not believed", "[sentinel]") {
    const CapturedLog log;
    Watched watched;
    SessionId other = session;
    other[15] ^= 1;
    watched.say(other);
    watched.say(session);
    watched.run();
    CHECK(watched.died == 0);
    CHECK(log.count("means nothing") == 1);
}

TEST_CASE("a watch that goes hears nothing any more", "[sentinel]") {
    Watched watched;
    watched.say(session);
    watched.watch.reset();
    watched.run();
    CHECK(watched.died == 0);
}

namespace {

// A primary whose sentinel joins, and which then waits to be killed.
pid_t start_primary(const Endpoint& backup, const std::shared_ptr<TlsKeyring>& keys) {
    const pid_t primary = ::fork();
    if (primary != 0) return primary;
    const std::unique_ptr<Sentinel> sentinel = Sentinel::start().value();
    FMVM_CHECK(sentinel->say_when_dead(
        death_notice(backup, keys, {JoinKind::sentinel, VmId{7}, 9, session})));
    while (true)
        ::pause();
}

void expect_word(const std::shared_ptr<TlsKeyring>& keys) {
    boost::asio::io_context loop{1};
    const auto work = boost::asio::make_work_guard(loop);  // the TLS handshakes are elsewhere
    std::optional<SentinelWatch> watch;
    bool died = false;
    pid_t primary = -1;
    const auto join = [&](Joiner joiner) {
        REQUIRE(joiner.message().kind == JoinKind::sentinel);
        watch.emplace(loop, joiner.accept(), joiner.message().session, [&] {
            died = true;
            loop.stop();
        });
        REQUIRE(::kill(primary, SIGKILL) == 0);
    };
    const auto listener =
        Listener::listen(
            {loop, loop}, Endpoint::parse("127.0.0.1:0").value(), keys,
            {.channel = [](std::unique_ptr<Channel>) { FAIL("it is no channel"); }, .join = join})
            .value();
    primary = start_primary(listener->endpoint(), keys);
    REQUIRE(primary > 0);
    loop.run_for(wait_limit);
    REQUIRE(died);
    REQUIRE(::waitpid(primary, nullptr, 0) == primary);
}

}  // namespace

TEST_CASE("hidden: a sentinel joins a channel", "[.]") {
    expect_word(nullptr);
}

TEST_CASE("hidden: a sentinel joins a channel under TLS", "[.]") {
    const KeyFile file({1});
    expect_word(file.open());
}

TEST_CASE("a killed primary's sentinel tells the backup that it has joined", "[sentinel]") {
    passes("hidden: a sentinel joins a channel");
}

TEST_CASE("a sentinel says its word under TLS, by the key that its primary has", "[sentinel]") {
#if defined(__SANITIZE_THREAD__)
    WARN("not tried: the thread sanitizer follows no fork beside TLS's thread");
#else
    passes("hidden: a sentinel joins a channel under TLS");
#endif
}
