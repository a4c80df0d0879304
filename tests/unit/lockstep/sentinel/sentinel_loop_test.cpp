// SPDX-License-Identifier: Apache-2.0
#include "lockstep/sentinel/sentinel_loop.h"

#include <catch2/catch.hpp>
#include <memory>
#include <thread>

#include "base/event_fd.h"
#include "support/told_of_death.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

using State = SentinelReport::State;

// A sentinel's loop on a thread of its own.
class Loop {
  public:
    explicit Loop(SentinelLoop::Patience patience = {}) {
        int ends[2];
        FMVM_CHECK(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) == 0);
        orders_ = UniqueFd(ends[0]);
        UniqueFd death = create_eventfd().value();
        death_ = UniqueFd(::dup(death.get()));
        thread_ =
            std::thread([loop = std::make_shared<SentinelLoop>(UniqueFd(ends[1]), std::move(death),
                                                               patience)] { loop->run(); });
    }
    ~Loop() {
        if (!thread_.joinable()) return;
        order({});
        die();
        thread_.join();
    }
    // One that has died takes none.
    void order(const LastWord& word) const {
        ::send(orders_.get(), &word, sizeof word, MSG_NOSIGNAL);
    }
    void close_orders() { orders_.reset(); }
    void die() const { signal_eventfd(death_.get()); }
    // What it reports next.
    SentinelReport report() const {
        REQUIRE(becomes_readable(orders_.get()));
        SentinelReport report;
        REQUIRE(::recv(orders_.get(), &report, sizeof report, 0) == sizeof report);
        return report;
    }
    void wait_for_end() { thread_.join(); }

  private:
    UniqueFd orders_, death_;
    std::thread thread_;
};

}  // namespace

TEST_CASE("a sentinel greets at once, and says its word when its process has died", "[sentinel]") {
    const DeathListener backup;
    Loop loop;
    loop.order(backup.word("hello", "dead"));
    const UniqueFd connection = backup.accept();
    CHECK(said(connection, 5) == "hello");
    CHECK(loop.report() == SentinelReport{State::connected, 0});
    CHECK_FALSE(is_readable(connection.get(), std::chrono::milliseconds(0)));
    loop.die();
    CHECK(all_said(connection) == "dead");
}

TEST_CASE("a sentinel ends when its word was read, and when nobody is to be told", "[sentinel]") {
    const DeathListener backup;
    Loop loop;
    loop.order(backup.word("hello", "dead"));
    {
        const UniqueFd connection = backup.accept();
        CHECK(loop.report().state == State::connected);
        loop.die();
        CHECK(all_said(connection) == "hellodead");
    }
    loop.wait_for_end();
    Loop idle;
    idle.die();
    idle.wait_for_end();
}

TEST_CASE("a sentinel that is to tell nobody any more says nothing", "[sentinel]") {
    const DeathListener backup;
    Loop loop;
    loop.order(backup.word("hello", "dead"));
    const UniqueFd connection = backup.accept();
    CHECK(loop.report().state == State::connected);
    loop.order({});
    loop.die();
    CHECK(all_said(connection) == "hello");
    loop.wait_for_end();
    CHECK_FALSE(backup.has_caller());
}

TEST_CASE("a sentinel tells whoever it was told of last", "[sentinel]") {
    const DeathListener first, second;
    Loop loop;
    loop.order(first.word("hello 1", "dead 1"));
    const UniqueFd connection = first.accept();
    CHECK(loop.report().state == State::connected);
    loop.order(second.word("hello 2", "dead 2"));
    CHECK(all_said(connection) == "hello 1");
    const UniqueFd next = second.accept();
    loop.die();
    CHECK(all_said(next) == "hello 2dead 2");
}

TEST_CASE("what a process ordered before it died counts", "[sentinel]") {
    const DeathListener backup;
    Loop loop;
    loop.order(backup.word("hello", "dead"));
    loop.close_orders();
    loop.die();
    CHECK(all_said(backup.accept()) == "hellodead");
}

TEST_CASE("a sentinel connects again to one that was not there, or went", "[sentinel]") {
    DeathListener backup;
    Loop loop({.pausing = std::chrono::milliseconds(5)});
    backup.stop();
    loop.order(backup.word("hello", "dead"));
    CHECK(loop.report() == SentinelReport{State::unreachable, ECONNREFUSED});
    backup.start_again();
    backup.accept();
    SentinelReport report = loop.report();
    while (report.state == State::unreachable)
        report = loop.report();
    CHECK(report.state == State::connected);
    CHECK(loop.report().state == State::closed);
    const UniqueFd connection = backup.accept();
    CHECK(loop.report().state == State::connected);
    loop.die();
    CHECK(all_said(connection) == "hellodead");
}

TEST_CASE("a sentinel does not pause once its process has died", "[sentinel]") {
    DeathListener backup;
    Loop loop({.pausing = std::chrono::hours(1)});
    backup.stop();
    loop.order(backup.word("hello", "dead"));
    CHECK(loop.report().state == State::unreachable);
    backup.start_again();
    loop.die();
    CHECK(all_said(backup.accept()) == "hellodead");
}

TEST_CASE("a sentinel gives up one that cannot be reached", "[sentinel]") {
    DeathListener backup;
    Loop loop({.pausing = std::chrono::milliseconds(1), .telling = std::chrono::milliseconds(20)});
    backup.stop();
    loop.order(backup.word("hello", "dead"));
    loop.die();
    loop.wait_for_end();
}

TEST_CASE("a sentinel waits a while only for one that does not close", "[sentinel]") {
    const DeathListener backup;
    Loop loop({.telling = std::chrono::milliseconds(20)});
    loop.order(backup.word("hello", "dead"));
    const UniqueFd connection = backup.accept();
    CHECK(loop.report().state == State::connected);
    loop.die();
    loop.wait_for_end();
    CHECK(all_said(connection) == "hellodead");
}

TEST_CASE("a sentinel bears whatever a peer says to it", "[sentinel]") {
    const DeathListener backup;
    Loop loop;
    loop.order(backup.word("hello", "dead"));
    const UniqueFd connection = backup.accept();
    say(connection, std::string(100'000, 'x'));
    loop.die();
    CHECK(all_said(connection) == "hellodead");
}

TEST_CASE("a sentinel says its word only to one who has answered", "[sentinel]") {
    const DeathListener backup;
    Loop loop;
    loop.order(backup.word("hello", "dead"));
    const UniqueFd connection = backup.accept_silently();
    CHECK(said(connection, 5) == "hello");
    loop.die();
    say(connection, "y");
    CHECK_FALSE(is_readable(connection.get(), std::chrono::milliseconds(20)));
    say(connection, "es");
    CHECK(all_said(connection) == "dead");
}

TEST_CASE("a sentinel that is refused, or not answered, tries again", "[sentinel]") {
    const DeathListener backup;
    Loop loop(
        {.connecting = std::chrono::milliseconds(100), .pausing = std::chrono::milliseconds(5)});
    loop.order(backup.word("hello", "dead"));
    const UniqueFd refused = backup.accept_silently();
    say(refused, "yeah");
    CHECK(loop.report() == SentinelReport{State::refused, 0});
    CHECK(all_said(refused) == "hello");
    const UniqueFd silent = backup.accept_silently();
    CHECK(loop.report() == SentinelReport{State::unreachable, ETIMEDOUT});
    CHECK(all_said(silent) == "hello");
    const UniqueFd connection = backup.accept();
    CHECK(loop.report().state == State::connected);
}
