// SPDX-License-Identifier: Apache-2.0
// Moving the guest to the backup: who is asked, who is believed, and what becomes of the guest.
#include "lockstep/primary/primary.h"

#include <catch2/catch.hpp>

#include "support/primary_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;
using State = PrimaryState;
using test::PrimaryBench;
using Reached = test::ReachedPrimary;
using Kind = VerifyOutcome::Kind;

TEST_CASE("primary: a backup that says it has taken over is believed when the arbiter says so",
          "[primary]") {
    Reached bench(State::handing_over);
    bench.receive(SwitchedMessage{2});
    CHECK(bench.primary.state() == State::deciding);
    CHECK(bench.claims == std::vector<Generation>{2});
    CHECK_FALSE(bench.end);
    CHECK(bench.source.stands);
    SECTION("it has claimed the generation") {
        bench.primary.claimed(Claim::lost);
        CHECK(bench.end == PrimaryEnd::handed_over);
        CHECK(bench.why == "the guest runs on the peer; it stood for 0.0 ms");
    }
    SECTION("nobody has, and the guest goes on here") {
        bench.emit("held");
        bench.primary.claimed(Claim::won);
        CHECK(bench.primary.state() == State::alone);
        CHECK_FALSE(bench.source.stands);
        CHECK_FALSE(bench.end);
        CHECK(bench.sink.shown == "held");
        // Nothing of that is left for the next one.
        bench.connect();
        bench.receive(WelcomeMessage{});
        bench.acknowledge(1);
        bench.primary.channel_lost("it is gone");
        bench.primary.claimed(Claim::lost);
        CHECK(bench.end == PrimaryEnd::superseded);
    }
    SECTION("the arbiter does not answer, and the guest is nobody's until it does") {
        bench.primary.claimed(Error("the mount hangs"));
        CHECK(bench.primary.state() == State::deciding);
        CHECK(bench.source.stands);
    }
}

TEST_CASE("primary: without an arbiter a backup that has taken over is believed", "[primary]") {
    PrimaryOptions options = PrimaryBench::default_options();
    options.has_arbiter = false;
    Reached bench(State::handing_over, options);
    bench.receive(SwitchedMessage{2});
    CHECK(bench.end == PrimaryEnd::handed_over);
    CHECK(bench.claims.empty());
}

TEST_CASE("primary: a comparison under way ends when the backup says that it has taken over",
          "[primary]") {
    Reached bench(State::following);
    REQUIRE(bench.primary.verify({.memory = true, .disks = false}).ok());
    bench.begin_switch_over();
    bench.acknowledge(2);
    REQUIRE(bench.primary.state() == State::handing_over);
    bench.receive(SwitchedMessage{2});
    CHECK(bench.verified_as->kind == Kind::unfinished);
}

TEST_CASE("primary: a switchover ends with the backup's word, or with a claim", "[primary]") {
    Reached bench(State::handing_over);
    CHECK(bench.source.stands);
    SECTION("not for its old generation") {
        bench.receive(SwitchedMessage{1});
        CHECK(bench.refusal() == "it took over out of turn");
        CHECK(bench.primary.state() == State::deciding);
    }
    SECTION("or with a claim, when the backup takes too long") {
        CHECK(bench.primary.deadline() <= bench.time + 2s);
        for (int i = 0; i < 199; ++i)
            bench.pass(10ms);
        CHECK(bench.primary.state() == State::handing_over);
        bench.pass(10ms);
        CHECK(bench.primary.state() == State::deciding);
        CHECK(bench.stayed != "");
        // The guest does not stand for the arbiter: it goes on, and what it emits is held.
        CHECK_FALSE(bench.source.stands);
        bench.emit("held");
        bench.primary.claimed(Error("the mount hangs"));
        bench.pass(500ms);
        CHECK(bench.sink.shown == "");
        const bool won = GENERATE(true, false);
        bench.primary.claimed(won ? Claim::won : Claim::lost);
        CHECK(bench.sink.shown == (won ? "held" : ""));
        if (won) CHECK_FALSE(bench.end);
        if (!won) CHECK(bench.end == PrimaryEnd::handed_over);
    }
}

TEST_CASE("primary: both sides are asked whether they could claim before the guest stands",
          "[primary]") {
    Reached bench(State::following);
    REQUIRE(bench.primary.switch_over().ok());
    CHECK(bench.trials == 1);
    CHECK(bench.wire->count(FrameType::try_claim) == 1);
    CHECK_FALSE(bench.primary.switch_over().ok());  // one at a time
    SECTION("this side could not") {
        bench.receive(ClaimTriedMessage{});
        bench.primary.claim_tried(Error("the mount is read-only"));
        CHECK(bench.stayed == "this side could not claim: the mount is read-only");
    }
    SECTION("the backup could not") {
        bench.primary.claim_tried({});
        bench.receive(ClaimTriedMessage{"the mount is gone"});
        CHECK(bench.stayed == "the backup could not claim: the mount is gone");
    }
    SECTION("neither answers in time") {
        for (int i = 0; i < 30; ++i)
            bench.pass(100ms);
        CHECK(bench.stayed == "the arbiter does not answer this side");
    }
    SECTION("the backup does not answer in time") {
        bench.primary.claim_tried({});
        for (int i = 0; i < 30; ++i)
            bench.pass(100ms);
        CHECK(bench.stayed == "the backup does not say whether it could claim");
    }
    SECTION("the operator gives it up") {
        bench.primary.give_up_switch_over("given up");
        CHECK(bench.stayed == "given up");
    }
    CHECK(bench.wire->count(FrameType::stays) == 1);
    CHECK(bench.primary.state() == State::following);
    CHECK_FALSE(bench.source.stands);
    // Late answers are no offence, and mean nothing.
    bench.primary.claim_tried({});
    bench.receive(ClaimTriedMessage{});
    CHECK(bench.wire->count(FrameType::switch_over) == 0);
    bench.one_epoch();
    CHECK(bench.primary.state() == State::following);
    CHECK(bench.primary.switch_over().ok());  // it can be tried again
}

TEST_CASE(
    "primary: a switchover is given up until the backup is told to take over, and the guest "
    "goes on",
    "[primary]") {
    Reached bench(State::following);
    bench.begin_switch_over();
    REQUIRE(bench.source.stands);
    const bool by_operator = GENERATE(true, false);
    if (by_operator) bench.primary.give_up_switch_over("given up");
    for (int i = 0; i < 50 && !by_operator; ++i) {
        ++bench.wire->steps;  // the backup works on it
        bench.pass(100ms);
    }
    CHECK(bench.stayed != "");
    CHECK_FALSE(bench.source.stands);
    bench.acknowledge(2);
    CHECK(bench.primary.state() == State::following);
    CHECK(bench.wire->count(FrameType::switch_over) == 0);
    bench.emit("shown");
    bench.pass(60ms);
    bench.acknowledge(3);
    CHECK(bench.sink.shown == "shown");
}

TEST_CASE("primary: a switchover that the backup was told of is not given up", "[primary]") {
    Reached bench(State::handing_over);
    bench.primary.give_up_switch_over("given up");
    CHECK(bench.primary.state() == State::handing_over);
    CHECK(bench.source.stands);
    CHECK(bench.stayed == "");
}

TEST_CASE("primary: a guest that ends while it stands for a switchover is not kept from that",
          "[primary]") {
    Reached bench(State::following);
    bench.begin_switch_over();
    bench.primary.guest_ended("stopped");
    for (int i = 0; i < 50; ++i) {
        ++bench.wire->steps;  // the backup works on it
        bench.pass(100ms);
    }
    bench.acknowledge(2);
    CHECK(bench.primary.state() == State::handing_over);
    bench.receive(SwitchedMessage{2});
    bench.primary.claimed(Claim::lost);
    CHECK(bench.end == PrimaryEnd::handed_over);
}

TEST_CASE("primary: a backup that asks for a switchover is told why there is none", "[primary]") {
    Reached bench(State::following);
    REQUIRE(bench.primary.switch_over().ok());
    bench.receive(FrameType::ask_switch_over);
    const auto told = StaysMessage::decode(bench.wire->last(FrameType::stays).body).value();
    CHECK(told.reason == "a switchover is under way");
}

TEST_CASE("primary: a backup whose operator has given a switchover up keeps the guest here",
          "[primary]") {
    Reached bench(State::following);
    bench.receive(FrameType::ask_switch_over);
    const bool stands = GENERATE(false, true);
    if (stands) {
        bench.primary.claim_tried({});
        bench.receive(ClaimTriedMessage{});
        REQUIRE(bench.source.stands);
    }
    bench.receive(FrameType::ask_stay);
    const auto told = StaysMessage::decode(bench.wire->last(FrameType::stays).body).value();
    CHECK(told.reason == "the backup's operator has given it up");
    CHECK(bench.primary.state() == State::following);
    CHECK_FALSE(bench.source.stands);
    bench.receive(FrameType::ask_stay);  // nothing is under way
    CHECK(bench.wire->count(FrameType::stays) == 1);
}

TEST_CASE("primary: a backup cannot give up what this side's operator has asked for", "[primary]") {
    Reached bench(State::following);
    REQUIRE(bench.primary.switch_over().ok());
    bench.receive(FrameType::ask_stay);
    CHECK(bench.wire->count(FrameType::stays) == 0);
    CHECK(bench.stayed == "");
}

TEST_CASE("primary: a switchover waits for its last epoch, not for one before", "[primary]") {
    Reached bench(State::following);
    bench.pass(60ms);
    bench.begin_switch_over();
    REQUIRE(bench.source.cuts == 3);
    bench.acknowledge(2);
    CHECK(bench.primary.state() == State::following);
    CHECK(bench.wire->count(FrameType::switch_over) == 0);
    bench.acknowledge(3);
    CHECK(bench.primary.state() == State::handing_over);
    CHECK(bench.wire->count(FrameType::switch_over) == 1);
}

TEST_CASE("primary: a guest that is stopped while it is handed over is the backup's, or ends here",
          "[primary]") {
    Reached bench(State::handing_over);
    bench.primary.guest_ended("stopped");
    CHECK(bench.primary.state() == State::handing_over);
    bench.primary.channel_lost("it is gone");
    const bool won = GENERATE(true, false);
    bench.primary.claimed(won ? Claim::won : Claim::lost);
    CHECK(bench.end == (won ? PrimaryEnd::guest_ended : PrimaryEnd::handed_over));
    CHECK(bench.ends == 1);
}

TEST_CASE("primary: nobody switches over to a backup that is not in step", "[primary]") {
    const State state = GENERATE(State::alone, State::greeting, State::copying, State::handing_over,
                                 State::deciding, State::finished);
    Reached bench(state);
    CHECK_FALSE(bench.primary.switch_over().ok());
    CHECK_FALSE(bench.primary.verify({}).ok());
    CHECK(bench.primary.state() == state);
}
