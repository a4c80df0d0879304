// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/getting_on.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;

namespace {

constexpr Debt acknowledgement_due{"an acknowledgement", 3s};
constexpr Debt only_bytes{nullptr, 3s};

// Looks every 100 ms, as a pair does that cuts.
struct GettingOnBench {
    // So long the peer does nothing.
    void pass(std::chrono::milliseconds time, const Debt& debt) {
        for (const auto end = now + time; now < end && !progress.is_late();) {
            now += 100ms;
            progress.look(account, debt, now);
        }
    }
    GettingOn progress;
    GettingOn::Account account;
    GettingOn::TimePoint now{1000s};
};

}  // namespace

TEST_CASE("a peer that owes nothing may do nothing for ever", "[getting-on]") {
    GettingOnBench bench;
    bench.pass(60s, only_bytes);
    CHECK_FALSE(bench.progress.is_late());
    CHECK(bench.progress.waited() == 0s);
    CHECK(bench.progress.next_look() == GettingOn::TimePoint::max());
}

TEST_CASE("a peer that owes something and does nothing is late", "[getting-on]") {
    GettingOnBench bench;
    bench.pass(3s, acknowledgement_due);
    CHECK_FALSE(bench.progress.is_late());
    CHECK(bench.progress.next_look() == bench.now + 100ms);
    bench.pass(100ms, acknowledgement_due);
    CHECK(bench.progress.is_late());
    CHECK(bench.progress.owed_for() == "it has owed an acknowledgement for 3.0 s");
}

TEST_CASE("a peer that does not handle what it was sent is late", "[getting-on]") {
    GettingOnBench bench;
    bench.account.sent = 5000;
    bench.account.peer.handled = 2000;
    bench.pass(4s, only_bytes);
    CHECK(bench.progress.is_late());
    CHECK(bench.progress.owed_for() ==
          "it has done nothing for 3.0 s, and 3000 bytes are not handled");
}

TEST_CASE("whatever a peer does gives it all of its time again", "[getting-on]") {
    GettingOnBench bench;
    bench.account.sent = 100 * mib;
    const auto does = GENERATE(0, 1, 2, 3);
    for (int i = 0; i < 10; ++i) {
        bench.pass(2900ms, acknowledgement_due);
        if (does == 0) ++bench.account.peer.steps;
        if (does == 1) bench.account.received += 48;
        if (does == 2) bench.account.moved += GettingOn::step;
        if (does == 3) bench.account.peer.handled += GettingOn::step;
    }
    CHECK_FALSE(bench.progress.is_late());
}

TEST_CASE("a peer that takes a byte now and then is late all the same", "[getting-on]") {
    GettingOnBench bench;
    bench.account.sent = 100 * mib;
    const bool reads = GENERATE(true, false);
    for (int i = 0; i < 50; ++i) {
        bench.pass(100ms, acknowledgement_due);
        ++(reads ? bench.account.moved : bench.account.peer.handled);
    }
    CHECK(bench.progress.is_late());
}

TEST_CASE("all of a little is as good as a part of much", "[getting-on]") {
    GettingOnBench bench;
    for (int i = 0; i < 10; ++i) {
        bench.account.sent += 100;
        bench.pass(2900ms, only_bytes);
        bench.account.peer.handled = bench.account.sent;
        bench.pass(100ms, only_bytes);
    }
    CHECK_FALSE(bench.progress.is_late());
}

TEST_CASE("what is on its way over a slow link has its time", "[getting-on]") {
    GettingOnBench bench;
    // A link of 1 MiB/s has shown its rate.
    bench.account.sent = 10 * mib;
    for (int i = 0; i < 20; ++i) {
        bench.account.peer.handled += 100 * kib;
        bench.pass(100ms, only_bytes);
    }
    const auto left = static_cast<double>(bench.account.sent - bench.account.peer.handled);
    const auto began = bench.now;
    bench.pass(120s, acknowledgement_due);
    REQUIRE(bench.progress.is_late());
    const std::chrono::duration<double> expected(3 + 4 * left / (1000.0 * kib));
    CHECK(std::chrono::abs(bench.now - began - expected) < 1s);
}

TEST_CASE("a pause of this side is not the peer's", "[getting-on]") {
    GettingOnBench bench;
    bench.pass(2s, acknowledgement_due);
    bench.now += 60s;  // frozen
    bench.progress.look(bench.account, acknowledgement_due, bench.now);
    CHECK_FALSE(bench.progress.is_late());
    bench.pass(2900ms, acknowledgement_due);
    CHECK_FALSE(bench.progress.is_late());
    bench.pass(200ms, acknowledgement_due);
    CHECK(bench.progress.is_late());
}

TEST_CASE("a debt begins when it is first seen, and ends when it is paid", "[getting-on]") {
    GettingOnBench bench;
    bench.pass(10s, only_bytes);
    bench.pass(2900ms, acknowledgement_due);
    CHECK(bench.progress.waited() == 2800ms);
    CHECK(bench.progress.owed() == "an acknowledgement is owed");
    bench.pass(100ms, only_bytes);
    CHECK(bench.progress.waited() == 0s);
    bench.pass(2900ms, acknowledgement_due);
    CHECK_FALSE(bench.progress.is_late());
}
