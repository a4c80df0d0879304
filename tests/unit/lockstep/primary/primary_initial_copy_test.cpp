// SPDX-License-Identifier: Apache-2.0
// The initial copy: what it may cost the guest, and what is told of it.
#include "lockstep/primary/primary.h"

#include <catch2/catch.hpp>

#include "support/captured_log.h"
#include "support/fake_lines.h"
#include "support/primary_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;
using State = PrimaryState;
using test::PrimaryBench;
using Reached = test::ReachedPrimary;

TEST_CASE("primary: a peer that is sent the initial copy and reads nothing is given up",
          "[primary]") {
    Reached bench(State::copying);
    bench.wire->handled = 0;
    for (int i = 0; i < 49; ++i)
        bench.pass(100ms);  // it gives signs of life
    CHECK(bench.primary.state() == State::copying);
    for (int i = 0; i < 4; ++i)
        bench.pass(100ms);
    CHECK(bench.refusal().find("it has done nothing for 5.") != std::string::npos);
    CHECK(bench.primary.state() == State::alone);
    CHECK_FALSE(bench.source.begun);
    CHECK(bench.claims.empty());
    // The next attempt comes later each time, because each holds the guest for a while.
    CHECK(bench.connect_after == PrimaryBench::Duration(500ms));
    bench.connect();
    bench.receive(WelcomeMessage{});
    bench.wire->handled = 0;
    for (int i = 0; i < 60; ++i)
        bench.pass(100ms);
    CHECK(bench.connect_after == PrimaryBench::Duration(1000ms));
}

TEST_CASE("primary: a peer that reads slowly is not given up", "[primary]") {
    Reached bench(State::copying);
    bench.wire->handled = 0;
    bench.wire->traffic.sent = 1 * gib;
    for (int i = 0; i < 20; ++i) {
        for (int j = 0; j < 30; ++j)
            bench.pass(100ms);
        bench.wire->traffic.moved += GettingOn::step;
    }
    CHECK(bench.primary.state() == State::copying);
}

TEST_CASE("primary: an initial copy that takes long is told of, rarely, with how far it is",
          "[primary]") {
    const test::CapturedLog log;
    PrimaryBench bench;
    bench.source.slow = true;
    bench.connect();
    bench.receive(WelcomeMessage{});
    for (int second = 0; second < 9; ++second)
        bench.pass(1s);
    CHECK(log.count("not protected yet") == 0);
    for (int second = 0; second < 120; ++second)
        bench.pass(1s);
    CHECK(test::eventually([&] { return log.count("not protected yet") == 2; }));
    CHECK(log.has("the guest is not protected yet: 12 %, 99 s left"));
    CHECK(bench.copies_over == 0);
    bench.primary.channel_lost("it is gone");
    CHECK(bench.copies_over == 1);
}
