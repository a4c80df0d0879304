// SPDX-License-Identifier: Apache-2.0
// Each test is in a process of its own, because a sentinel is forked from one that has no threads.
#include "lockstep/service/sentinel_charge.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "support/captured_log.h"
#include "support/hidden_test.h"
#include "support/told_of_death.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

namespace {

// A side that is charged, and its log.
struct Side {
    // Turns the loop until the log says so.
    bool tells(const char* words) {
        return eventually([&] {
            loop.restart();
            loop.run_for(std::chrono::milliseconds(1));
            return log.has(words);
        });
    }
    const std::unique_ptr<Sentinel> sentinel = Sentinel::start().value();
    const CapturedLog log{log::Level::info};
    boost::asio::io_context loop{1};
    SentinelCharge charge{loop, sentinel.get()};
};

}  // namespace

TEST_CASE("hidden: a charge that goes well", "[.]") {
    const DeathListener backup;
    Side side;
    side.charge.begin(backup.word("hello", "dead"));
    const UniqueFd connection = backup.accept();
    REQUIRE(side.tells("the sentinel tells the backup if this process dies"));
    REQUIRE_FALSE(side.log.has("could not tell"));
    side.charge.end();
    REQUIRE(all_said(connection) == "hello");
    REQUIRE_FALSE(side.log.has("could not tell"));
}

TEST_CASE("a sentinel that is charged tells its backup, until the charge ends", "[sentinel]") {
    passes("hidden: a charge that goes well");
}

TEST_CASE("hidden: a charge of somebody who is not there", "[.]") {
    DeathListener backup;
    backup.stop();
    Side side;
    side.charge.begin(backup.word("hello", "dead"));
    REQUIRE(side.tells("it cannot reach the backup: Connection refused"));
    backup.start_again();
    const UniqueFd connection = backup.accept();
    REQUIRE(side.tells("can tell of this process's death again"));
}

TEST_CASE("a sentinel that cannot tell its backup is told of", "[sentinel]") {
    passes("hidden: a charge of somebody who is not there");
}

TEST_CASE("hidden: a sentinel ends before its charge", "[.]") {
    const DeathListener backup;
    Side side;
    REQUIRE(::kill(side.sentinel->pid(), SIGKILL) == 0);
    REQUIRE(side.tells("has ended, or does not get on"));
    side.charge.begin(backup.word("hello", "dead"));
    side.charge.end();
    REQUIRE(side.log.count("has ended") == 1);
    REQUIRE_FALSE(backup.has_caller());
}

TEST_CASE("a sentinel that has ended is told of once, and its side goes on", "[sentinel]") {
    passes("hidden: a sentinel ends before its charge");
}

TEST_CASE("a side without a sentinel charges nobody", "[sentinel]") {
    boost::asio::io_context loop{1};
    SentinelCharge charge(loop, nullptr);
    charge.begin({});
    charge.end();
    CHECK(loop.poll() == 0);
}

TEST_CASE("hidden: a sentinel is stopped, and goes on", "[.]") {
    Side side;
    REQUIRE(::kill(side.sentinel->pid(), SIGSTOP) == 0);
    REQUIRE(side.tells("is stopped: if this process dies, its backup learns of it later"));
    REQUIRE(::kill(side.sentinel->pid(), SIGCONT) == 0);
    REQUIRE(side.tells("goes on"));
}

TEST_CASE("a sentinel that is stopped is told of, and so is that it goes on", "[sentinel]") {
    passes("hidden: a sentinel is stopped, and goes on");
}

TEST_CASE("hidden: a sentinel may not go before other work", "[.]") {
    const rlimit none{0, 0};
    REQUIRE(::setrlimit(RLIMIT_RTPRIO, &none) == 0);
    if (::geteuid() == 0) {  // and no capability
        REQUIRE(::setgid(65534) == 0);
        REQUIRE(::setuid(65534) == 0);
    }
    Side side;
    REQUIRE(side.tells("does not let the sentinel go before other work"));
    REQUIRE(side.log.count("does not let the sentinel") == 1);
}

TEST_CASE("a sentinel that may not go before other work is told of once", "[sentinel]") {
    passes("hidden: a sentinel may not go before other work");
}
