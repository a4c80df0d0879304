// SPDX-License-Identifier: Apache-2.0
// What single events do in single states. (Orders of events, losses and faults: the simulation.)
#include "lockstep/primary/primary.h"

#include <array>
#include <catch2/catch.hpp>

#include "base/log.h"
#include "support/captured_log.h"
#include "support/fake_lines.h"
#include "support/primary_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;
using State = PrimaryState;
using Bench = test::PrimaryBench;
using Kind = VerifyOutcome::Kind;

namespace {

constexpr std::array linked_states{State::greeting, State::copying, State::following,
                                   State::handing_over};

// Quiet, and in this state.
struct Reached : Bench {
    explicit Reached(State state, const PrimaryOptions& options = default_options())
        : Bench(options) {
        log::set_level(log::Level::error);
        reach(state);
        REQUIRE(primary.state() == state);
    }
};

PrimaryOptions stopping() {
    PrimaryOptions options = Bench::default_options();
    options.on_backup_lost = OnBackupLost::stop;
    return options;
}

PrimaryOptions kemari() {
    PrimaryOptions options = Bench::default_options();
    options.policy.mode = SyncMode::kemari;
    return options;
}

}  // namespace

TEST_CASE("primary: a message that does not fit the state is refused with one sentence",
          "[primary]") {
    for (const State state : linked_states) {
        for (std::uint16_t number = 1; number <= 30; ++number) {
            const auto type = static_cast<FrameType>(number);
            const Result<void> fits = check_turn(type, state);
            if (fits.ok()) continue;
            Reached bench(state);
            bench.receive(type);
            INFO(name_of(state) << ", type " << number);
            CHECK(bench.refusal() == fits.error().message());
            CHECK(bench.wire->closed);
            CHECK(bench.primary.state() == (state == State::greeting || state == State::copying
                                                ? State::alone
                                                : State::deciding));
        }
    }
}

TEST_CASE("primary: a message that fits but is malformed is refused as well", "[primary]") {
    for (const State state : linked_states) {
        for (const FrameType type : {FrameType::ack, FrameType::switched, FrameType::heartbeat,
                                     FrameType::unfit, FrameType::ask_switch_over}) {
            if (!check_turn(type, state).ok()) continue;
            Reached bench(state);
            bench.receive(type, {1, 2, 3});
            INFO(name_of(state) << ", type " << static_cast<int>(type));
            CHECK(bench.refusal() != "");
            CHECK(bench.primary.state() != state);
        }
    }
}

TEST_CASE("primary: what nobody could take over runs on without a claim", "[primary]") {
    const State state = GENERATE(State::greeting, State::copying);
    Reached bench(state);
    bench.emit("shown");
    CHECK(bench.sink.shown == "shown");
    bench.primary.channel_lost("it is gone");
    CHECK(bench.primary.state() == State::alone);
    CHECK(bench.claims.empty());
    CHECK_FALSE(bench.source.begun);
    CHECK(bench.connect_after == Bench::Duration(ReconnectDelay::shortest));
}

TEST_CASE("primary: a backup that is lost before its first commit cannot take over", "[primary]") {
    Bench bench;
    bench.source.initial_waits = true;
    bench.reach(State::greeting);
    bench.receive(WelcomeMessage{});
    bench.wire->queued_bytes = channel_high_water;  // the first cut is made, and not sent
    bench.source.initial_left = 0;
    bench.source.initial_waits = false;
    bench.wire->queued_bytes = 0;
    bench.source.cut_error = "no state";
    bench.primary.channel_drained();
    CHECK(bench.refusal() == "no state");
    CHECK(bench.primary.state() == State::alone);
    CHECK(bench.claims.empty());
    CHECK_FALSE(bench.end);
}

TEST_CASE("primary: a backup that may have committed is not outlived without a claim",
          "[primary]") {
    Bench bench;
    bench.reach(State::greeting);
    bench.receive(WelcomeMessage{});  // the first commit is sent, and not acknowledged
    REQUIRE(bench.wire->count(FrameType::commit) == 1);
    bench.emit("held");
    bench.primary.channel_lost("it is gone");
    CHECK(bench.primary.state() == State::deciding);
    CHECK(bench.claims == std::vector<Generation>{2});
    CHECK(bench.sink.shown == "");
    bench.primary.claimed(Claim::won);
    CHECK(bench.primary.state() == State::alone);
    CHECK(bench.generation == 2);
    CHECK(bench.sink.shown == "held");
}

TEST_CASE("primary: output leaves when its epoch is acknowledged, and not before", "[primary]") {
    Reached bench(State::following);
    bench.emit("first");
    bench.pass(60ms);
    bench.emit("second");
    CHECK(bench.sink.shown == "");
    bench.acknowledge(2);
    CHECK(bench.sink.shown == "first");
    CHECK(bench.source.last_committed == 2);
}

TEST_CASE("primary: a claim without an answer is repeated until there is one", "[primary]") {
    Reached bench(State::deciding);
    for (std::size_t tries = 1; tries <= 3; ++tries) {
        CHECK(bench.claims.size() == tries);
        bench.primary.claimed(Error("the mount hangs"));
        CHECK(bench.primary.deadline() <= bench.time + 500ms);
        bench.pass(499ms);
        CHECK(bench.claims.size() == tries);
        bench.pass(1ms);
    }
    bench.primary.claimed(Claim::lost);
    CHECK(bench.end == PrimaryEnd::superseded);
    CHECK(bench.ends == 1);
    CHECK(bench.primary.deadline() == Bench::TimePoint::max());
}

TEST_CASE("primary: a connection begins with nothing of the one before", "[primary]") {
    Reached bench(State::following);
    bench.one_epoch();
    bench.one_epoch();
    bench.primary.channel_lost("it is gone");
    bench.primary.claimed(Claim::won);
    bench.connect();
    bench.receive(WelcomeMessage{});
    const auto hello = HelloMessage::decode(bench.wire->last(FrameType::hello).body).value();
    CHECK(hello.generation == 2);
    const auto commit = CommitMessage::decode(bench.wire->last(FrameType::commit).body).value();
    CHECK(commit.epoch == 1);
    const auto state = StateMessage::decode(bench.wire->last(FrameType::state).body).value();
    CHECK(state.encoding == StateEncoding::whole);
    bench.acknowledge(1);
    CHECK(bench.primary.state() == State::following);
}

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
    PrimaryOptions options = Bench::default_options();
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
    for (int i = 0; i < 50 && !by_operator; ++i)
        bench.pass(100ms);
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
    for (int i = 0; i < 50; ++i)
        bench.pass(100ms);
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

TEST_CASE("primary: a guest that ends has ended at once where nobody could take over",
          "[primary]") {
    const State state = GENERATE(State::alone, State::greeting, State::copying);
    Reached bench(state);
    bench.primary.guest_ended("it powered off");
    CHECK(bench.end == PrimaryEnd::guest_ended);
    CHECK(bench.why == "it powered off");
    // Whoever does not follow the guest is not told that it may end itself.
    if (bench.wire) CHECK(bench.wire->count(FrameType::ended) == 0);
    if (bench.wire) CHECK(bench.refusal() == "the guest has ended: it powered off");
}

TEST_CASE("primary: a guest's end is told when its last epoch is acknowledged", "[primary]") {
    Reached bench(State::following);
    bench.emit("last words");
    bench.primary.guest_ended("it powered off");
    CHECK(bench.source.stands);
    CHECK_FALSE(bench.end);
    CHECK(bench.sink.shown == "");
    bench.acknowledge(2);
    CHECK(bench.sink.shown == "last words");
    CHECK(bench.wire->count(FrameType::ended) == 1);
    CHECK(bench.end == PrimaryEnd::guest_ended);
}

TEST_CASE("primary: a guest's last cut waits for its disks", "[primary]") {
    Reached bench(State::following);
    bench.source.disks_idle = false;
    bench.primary.guest_ended("it powered off");
    CHECK(bench.source.cuts == 1);
    CHECK(bench.primary.deadline() == bench.time + 2ms);

    SECTION("until they are done") {
        bench.pass(2ms);
        CHECK(bench.source.cuts == 1);
        bench.source.disks_idle = true;
        bench.pass(2ms);
        CHECK(bench.source.cuts == 2);
        CHECK(bench.source.stands);
    }
    SECTION("for two seconds at most") {
        for (int i = 0; i < 199; ++i)
            bench.pass(10ms);
        CHECK(bench.source.cuts == 1);
        bench.pass(10ms);
        CHECK(bench.source.cuts == 2);
        CHECK(bench.source.stands);
    }
    SECTION("but a write that waits for a commit gets one, which is not the last") {
        bench.source.writes_waiting_since = bench.time;
        bench.pass(2ms);
        CHECK(bench.source.cuts == 2);
        CHECK_FALSE(bench.source.stands);
        bench.source.disks_idle = true;
        bench.acknowledge(2);
        CHECK(bench.source.cuts == 3);
        CHECK(bench.source.stands);
    }
}

TEST_CASE("primary: with kemari's policy the guest stands until the acknowledgement", "[primary]") {
    Reached bench(State::following, kemari());
    CHECK_FALSE(bench.source.stands);
    bench.emit("x");
    bench.pass(1ms);
    CHECK(bench.source.stands);
    CHECK(bench.source.cuts == 2);
    bench.emit("y");
    bench.pass(60ms);
    CHECK(bench.source.cuts == 2);
    bench.acknowledge(2);
    CHECK(bench.source.cuts == 3);
}

TEST_CASE("primary: at most two epochs wait for their acknowledgement", "[primary]") {
    Reached bench(State::following);
    for (int i = 0; i < 5; ++i)
        bench.pass(60ms);
    CHECK(bench.source.cuts == 3);
    bench.acknowledge(2);
    CHECK(bench.source.cuts == 4);
}

TEST_CASE("primary: an operator may have it stop when the backup is lost", "[primary]") {
    const State state = GENERATE(State::following, State::handing_over);
    Reached bench(state, stopping());
    bench.primary.channel_lost("it is gone");
    CHECK(bench.end == PrimaryEnd::backup_lost);
    CHECK(bench.why == "it is gone");
    CHECK(bench.claims.empty());
}

TEST_CASE("primary: a newer generation halts a side that does not ask for it itself", "[primary]") {
    for (const State state : {State::alone, State::greeting, State::copying, State::following}) {
        Reached bench(state);
        bench.primary.superseded();
        CHECK(bench.end == PrimaryEnd::superseded);
    }
    for (const State state : {State::handing_over, State::deciding}) {
        Reached bench(state);
        bench.primary.superseded();
        CHECK(bench.primary.state() == state);
    }
}

TEST_CASE("primary: a host that cannot capture its machine leaves it to a backup that has one",
          "[primary]") {
    Reached bench(State::following);
    bench.source.cut_error = "no state";
    bench.pass(60ms);
    CHECK(bench.end == PrimaryEnd::failed);
    CHECK(bench.why == "no state");
    CHECK(bench.wire->closed);
}

TEST_CASE("primary: a silent backup is lost", "[primary]") {
    Reached bench(State::following);
    for (int i = 0; i < 19; ++i) {
        bench.time += 10ms;
        bench.primary.tick();
    }
    CHECK(bench.primary.state() == State::following);
    bench.time += 10ms;
    bench.primary.tick();
    CHECK(bench.refusal() == "nothing was heard of it for too long");
    CHECK(bench.primary.state() == State::deciding);
}

TEST_CASE("primary: a backup that was never in step and refuses is waited for longer each time",
          "[primary]") {
    Bench bench;
    log::set_level(log::Level::error);
    bench.source.initial_waits = true;
    for (const auto delay : {500ms, 1000ms, 2000ms}) {
        bench.connect();
        bench.receive(WelcomeMessage{});
        bench.receive(RefuseMessage{"its disk fails"});
        CHECK(bench.refusal() == "it refuses: its disk fails");
        CHECK(bench.connect_after == Bench::Duration(delay));
    }
    bench.connect();
    bench.receive(RefuseMessage{"it serves another guest"});
    CHECK(bench.connect_after == Bench::Duration(500ms));
}

TEST_CASE("primary: a comparison ends with the connection, and says how", "[primary]") {
    Reached bench(State::following);
    REQUIRE(bench.primary.verify({.memory = true, .disks = false}).ok());
    SECTION("the backup differs") {
        bench.receive(UnfitMessage{"RAM differs"});
        CHECK(bench.verified_as->kind == Kind::different);
        CHECK(bench.verified_as->text == "RAM differs");
        CHECK(bench.refusal() == "it is not equal any more");
    }
    SECTION("the backup is lost") {
        bench.primary.channel_lost("it is gone");
        CHECK(bench.verified_as->kind == Kind::unfinished);
        CHECK(bench.verified_as->text == "the backup was lost meanwhile: it is gone");
    }
    SECTION("this side is superseded") {
        bench.primary.superseded();
        CHECK(bench.verified_as->kind == Kind::unfinished);
    }
    SECTION("the operator ends it; an answer that is still to come is no offence") {
        bench.primary.stop_verifying();
        CHECK(bench.verified_as->text == "the operator has ended it");
        bench.receive(FrameType::disk_checked);
        CHECK(bench.primary.state() == State::following);
    }
}

TEST_CASE("primary: with a full queue nothing is sent and nothing is due but signs of life",
          "[primary]") {
    Reached bench(State::following);
    bench.wire->queued_bytes = channel_high_water;
    const std::size_t sent = bench.wire->sent.size();
    for (int i = 0; i < 10; ++i)
        bench.pass(30ms);
    CHECK(bench.wire->sent.size() == sent);
    CHECK(bench.primary.deadline() > bench.time);
    bench.wire->queued_bytes = 0;
    bench.primary.channel_drained();
    CHECK(bench.wire->sent.size() > sent);
}

TEST_CASE("primary: an arbiter that does not answer a claim is told of within a second, and rarely",
          "[primary]") {
    Reached bench(State::deciding);
    CHECK(bench.primary.deadline() <= bench.time + 1s);
    bench.pass(400ms);  // it takes long
    CHECK(bench.primary.deadline() <= bench.time + 400ms);
    bench.pass(400ms);  // and longer, so it was told
    CHECK(bench.primary.deadline() == bench.time + 60s - 400ms);
    bench.primary.claimed(Claim::won);
    CHECK(bench.primary.deadline() == Bench::TimePoint::max());
}

TEST_CASE("primary: where nobody can be connected to, it tries again", "[primary]") {
    Reached bench(State::alone);
    bench.primary.not_connected("a:1", "timed out");
    CHECK(bench.connect_after == Bench::Duration(ReconnectDelay::shortest));
    bench.connect_after.reset();
    bench.primary.guest_ended("it powered off");
    bench.primary.not_connected("a:1", "timed out");
    CHECK_FALSE(bench.connect_after);
}

TEST_CASE("primary: a peer that is sent the initial copy and reads nothing is given up",
          "[primary]") {
    Reached bench(State::copying);
    bench.wire->queued_bytes = channel_high_water;
    for (int i = 0; i < 49; ++i)
        bench.pass(100ms);  // it gives signs of life
    CHECK(bench.primary.state() == State::copying);
    for (int i = 0; i < 3; ++i)
        bench.pass(100ms);
    CHECK(bench.refusal() == "it takes nothing of the initial copy");
    CHECK(bench.primary.state() == State::alone);
    CHECK_FALSE(bench.source.begun);
    CHECK(bench.claims.empty());
    // The next attempt comes later each time, because each holds the guest for a while.
    CHECK(bench.connect_after == Bench::Duration(500ms));
    bench.connect();
    bench.receive(WelcomeMessage{});
    bench.wire->queued_bytes = channel_high_water;
    for (int i = 0; i < 60; ++i)
        bench.pass(100ms);
    CHECK(bench.connect_after == Bench::Duration(1000ms));
}

TEST_CASE("primary: a peer that reads slowly is not given up", "[primary]") {
    Reached bench(State::copying);
    for (int i = 0; i < 20; ++i) {
        bench.wire->queued_bytes = channel_high_water;
        for (int j = 0; j < 30; ++j)
            bench.pass(100ms);
        bench.wire->queued_bytes = 0;
        bench.primary.channel_drained();
    }
    CHECK(bench.primary.state() == State::copying);
}

TEST_CASE("primary: an initial copy that takes long is told of, rarely, with how far it is",
          "[primary]") {
    const test::CapturedLog log;
    Bench bench;
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
