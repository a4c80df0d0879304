// SPDX-License-Identifier: Apache-2.0
// By what right a primary speaks, state by state, and how its lifeline begins and ends.
#include <catch2/catch.hpp>

#include "base/log.h"
#include "support/primary_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using namespace std::chrono_literals;

using State = PrimaryState;
using Right = PairPermit::Right;

namespace {

struct PermitBench : PrimaryBench {
    PermitBench() { log::set_level(log::Level::error); }
    // Promised by the backup for this session.
    bool may_speak() const { return permit->allows(1h + 1ms); }
    void promise() {
        lifeline_terms->half.sending(1, false, 1h);
        lifeline_terms->half.echoed(1, 1h);
    }
};

}  // namespace

TEST_CASE("primary: it joins the session that the welcome names") {
    PermitBench bench;
    bench.connect();
    CHECK_FALSE(bench.joined_by);
    bench.receive(WelcomeMessage{{1, 2, 3}});
    REQUIRE(bench.joined_by);
    CHECK(bench.joined_by->kind == JoinKind::lifeline);
    CHECK(bench.joined_by->generation == 1);
    CHECK(bench.joined_by->session == SessionId{1, 2, 3});
    CHECK(bench.lifeline_terms->role == Heartbeat::Role::answers);
}

TEST_CASE("primary: from its first commit on it speaks by promises, until it has won alone") {
    PermitBench bench;
    bench.reach(State::copying);
    CHECK(bench.permit->right() == Right::alone);
    bench.source.initial_waits = false;
    bench.pass(60ms);
    REQUIRE(bench.primary.state() == State::following);
    CHECK(bench.permit->right() == Right::promises);
    CHECK_FALSE(bench.may_speak());
    bench.promise();
    CHECK(bench.may_speak());
    bench.primary.channel_lost("it is gone");
    REQUIRE(bench.primary.state() == State::deciding);
    CHECK(bench.permit->right() == Right::promises);
    CHECK(bench.may_speak());  // the promise that it has holds
    bench.primary.claimed(Claim::won);
    CHECK(bench.permit->right() == Right::alone);
}

TEST_CASE("primary: what one backup has promised does not count with the next") {
    PermitBench bench;
    bench.reach(State::following);
    bench.promise();
    bench.primary.channel_lost("it is gone");
    bench.primary.claimed(Claim::won);
    bench.connect();
    bench.receive(WelcomeMessage{});
    CHECK_FALSE(bench.may_speak());
}

TEST_CASE("primary: a guest that is handed over is silent here") {
    PermitBench bench;
    bench.reach(State::following);
    bench.promise();
    bench.begin_switch_over();
    CHECK(bench.may_speak());
    bench.acknowledge(2);
    REQUIRE(bench.primary.state() == State::handing_over);
    CHECK_FALSE(bench.may_speak());
}

TEST_CASE("primary: a backup whose lifeline closes is lost unless the channel says why") {
    PermitBench bench;
    bench.reach(State::following);
    bench.lifeline_terms->lost("the peer closed its lifeline");
    CHECK(bench.lifeline->closed);
    bench.pass(100ms);
    CHECK(bench.primary.state() == State::following);
    bench.pass(100ms);
    CHECK(bench.primary.state() == State::deciding);
    CHECK(bench.refusal() == "the peer closed its lifeline");
}

TEST_CASE("primary: a backup whose lifeline gives no sign is lost") {
    PermitBench bench;
    bench.lifeline_lives = false;
    bench.reach(State::copying);
    bench.pass(4900ms);
    CHECK(bench.primary.state() == State::copying);
    bench.pass(100ms);
    CHECK(bench.primary.state() == State::alone);
    CHECK(bench.refusal() == "its lifeline does not begin");
}
