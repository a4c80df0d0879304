// SPDX-License-Identifier: Apache-2.0
// What single events do in single states. (Orders of events, losses and faults: the simulation.)
#include "lockstep/primary/primary.h"

#include <array>
#include <catch2/catch.hpp>

#include "base/log.h"
#include "support/primary_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;
using State = PrimaryState;
using test::PrimaryBench;
using Reached = test::ReachedPrimary;
using Kind = VerifyOutcome::Kind;

namespace {

constexpr std::array linked_states{State::greeting, State::copying, State::following,
                                   State::handing_over};

PrimaryOptions stopping() {
    PrimaryOptions options = PrimaryBench::default_options();
    options.on_backup_lost = OnBackupLost::stop;
    return options;
}

PrimaryOptions kemari() {
    PrimaryOptions options = PrimaryBench::default_options();
    options.policy.mode = SyncMode::kemari;
    return options;
}

}  // namespace

TEST_CASE("primary: a message that does not fit the state is refused with one sentence",
          "[primary]") {
    for (const State state : linked_states) {
        for (std::uint16_t number = 1; number <= 34; ++number) {
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
    CHECK(bench.connect_after == PrimaryBench::Duration(ReconnectDelay::shortest));
}

TEST_CASE("primary: a backup that is lost before its first commit cannot take over", "[primary]") {
    PrimaryBench bench;
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
    PrimaryBench bench;
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
    CHECK(bench.primary.deadline() == PrimaryBench::TimePoint::max());
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
    PrimaryBench bench;
    log::set_level(log::Level::error);
    bench.source.initial_waits = true;
    for (const auto delay : {500ms, 1000ms, 2000ms}) {
        bench.connect();
        bench.receive(WelcomeMessage{});
        bench.receive(RefuseMessage{"its disk fails"});
        CHECK(bench.refusal() == "it refuses: its disk fails");
        CHECK(bench.connect_after == PrimaryBench::Duration(delay));
    }
    bench.connect();
    bench.receive(RefuseMessage{"it serves another guest"});
    CHECK(bench.connect_after == PrimaryBench::Duration(500ms));
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
    CHECK(bench.primary.deadline() == PrimaryBench::TimePoint::max());
}

TEST_CASE("primary: where nobody can be connected to, it tries again", "[primary]") {
    Reached bench(State::alone);
    bench.primary.not_connected("a:1", "timed out");
    CHECK(bench.connect_after == PrimaryBench::Duration(ReconnectDelay::shortest));
    bench.connect_after.reset();
    bench.primary.guest_ended("it powered off");
    bench.primary.not_connected("a:1", "timed out");
    CHECK_FALSE(bench.connect_after);
}
