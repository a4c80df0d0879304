// SPDX-License-Identifier: Apache-2.0
// What a backup says to those who connect, and whom it listens to.
#include <catch2/catch.hpp>

#include "support/backup_bench.h"
#include "support/captured_log.h"
#include "support/fake_lines.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using namespace std::chrono_literals;

using State = BackupState;

TEST_CASE("backup: whoever connects is told where the guest runs that it knows of") {
    const auto place_in = [](State state) {
        BackupBench bench;
        bench.bring_to(state);
        const auto asking = bench.connect();
        REQUIRE(asking->known.has_value());
        CHECK(asking->closed);
        return asking->known->place;
    };
    for (const State state : {State::receiving, State::following, State::awaiting_flush})
        CHECK(place_in(state) == GuestPlace::followed);
    for (const State state : {State::deciding, State::awaiting_disks, State::running})
        CHECK(place_in(state) == GuestPlace::here);
    CHECK(place_in(State::finished) == GuestPlace::nowhere);
}

TEST_CASE("backup: who only asks gets an answer, and the next one is greeted") {
    BackupBench bench;
    const auto asking = bench.connect();
    bench.say(AskGuestMessage{});
    REQUIRE(asking->known.has_value());
    CHECK(asking->known->place == GuestPlace::nowhere);
    CHECK(asking->closed);
    CHECK(asking->refusal.empty());
    CHECK(bench.backup.state() == State::listening);
    bench.bring_to(State::following);
}

TEST_CASE("backup: who waits behind one who only asks is greeted after the answer") {
    BackupBench bench;
    const auto asking = bench.connect("10.0.0.1:1");
    const auto waiting = bench.connect("10.0.0.2:1");
    bench.say(AskGuestMessage{});
    CHECK(asking->closed);
    CHECK(bench.backup.state() == State::greeting);
    CHECK_FALSE(waiting->closed);
}

TEST_CASE("backup: a stranger has a second to say who it is, however lively") {
    BackupBench bench;
    bench.bring_to(State::greeting);
    for (unsigned i = 0; i < 9; ++i)
        bench.pass(100ms);
    CHECK(bench.backup.state() == State::greeting);
    bench.pass(100ms);
    CHECK(bench.backup.state() == State::listening);
}

TEST_CASE("backup: a primary that reads nothing is refused") {
    BackupBench bench;
    bench.bring_to(State::following);
    bench.primary->unread = channel_high_water + 1;
    bench.say(HeartbeatMessage{});
    CHECK(bench.primary->refusal == "it does not read what it is told");
}

TEST_CASE("backup: one who connects every second and says nothing does not keep the primary out") {
    BackupBench bench;
    bench.connect("a stranger");
    for (int second = 0; second < 3; ++second) {
        bench.pass(500ms);
        bench.connect("a stranger");
        bench.pass(500ms);
    }
    REQUIRE(bench.backup.state() == State::greeting);
    const auto primary = bench.connect("the primary");
    CHECK(primary->refusal == "");
    bench.pass(500ms);
    bench.pass(500ms);  // those before it have had their second
    HelloMessage hello;
    hello.generation = 1;
    hello.heartbeat_ms = 50;
    hello.lost_after_ms = 200;
    hello.interval_ms = 50;
    hello.shape.memory_bytes = 8 * mib;
    hello.shape.vcpus = 1;
    bench.say(hello);
    CHECK(bench.backup.state() == State::receiving);
    CHECK(got(*primary, FrameType::welcome));
}

TEST_CASE("backup: who waits to be greeted is told when another one is the primary") {
    BackupBench bench;
    bench.bring_to(State::greeting);
    const auto other = bench.connect("another");
    CHECK(other->refusal == "");
    HelloMessage hello;
    hello.generation = 1;
    hello.heartbeat_ms = 50;
    hello.lost_after_ms = 200;
    hello.interval_ms = 50;
    hello.shape.memory_bytes = 8 * mib;
    hello.shape.vcpus = 1;
    bench.say(hello);
    CHECK(other->refusal == "another primary is connected");
    CHECK(other->closed);
}

TEST_CASE("backup: health checks of its port do not fill the log") {
    BackupBench bench;
    const CapturedLog log;
    for (int second = 0; second < 3600; second += 2) {
        bench.connect("10.0.0.1");
        bench.backup.channel_lost("the connection was closed");
        bench.pass(2s);
    }
    CHECK(eventually([&] { return log.has("refused 10.0.0.1: the connection was closed"); }));
    CHECK(log.count("refused") <= 4);
}

TEST_CASE("backup: who knows the session joins the channel, by one lifeline only") {
    for (const State state : {State::receiving, State::following, State::awaiting_flush}) {
        BackupBench bench;
        bench.lifeline_lives = false;
        bench.bring_to(state);
        for (const JoinKind kind : {JoinKind::lifeline, JoinKind::sentinel})
            CHECK(bench.join(kind) == "");
        CHECK(bench.join(JoinKind::lifeline).ends_with("already"));
        CHECK(bench.join(JoinKind::sentinel) == "");
    }
}

TEST_CASE("backup: who names another session, guest or generation joins nothing") {
    BackupBench bench;
    bench.lifeline_lives = false;
    bench.bring_to(State::following);
    const JoinMessage join{JoinKind::lifeline, VmId{}, 1, bench.primary->session};
    const auto refusal = [&bench](const JoinMessage& message) {
        return bench.backup.join(message).error().message();
    };
    JoinMessage other = join;
    other.session[15] ^= 1;
    CHECK(refusal(other) == "it names another session than the one that is under way");
    other = join;
    other.generation = 2;
    CHECK(refusal(other) == "it names another guest than the one that is followed here");
    other = join;
    other.vm[0] = 1;
    CHECK(refusal(other) == "it names another guest than the one that is followed here");
    CHECK(bench.backup.state() == State::following);
    CHECK(bench.backup.join(join).ok());
}

TEST_CASE("backup: a session ends with its channel, and the next one has another name") {
    BackupBench bench;
    bench.bring_to(State::receiving);
    const JoinMessage before{JoinKind::sentinel, VmId{}, 1, bench.primary->session};
    bench.backup.channel_lost("the line is cut");
    CHECK(bench.backup.join(before).error().message() ==
          "there is no channel here that it could join");
    bench.bring_to(State::receiving);
    CHECK(bench.backup.join(before).error().message() ==
          "it names another session than the one that is under way");
    CHECK(bench.join(JoinKind::sentinel) == "");
}

TEST_CASE(
    "backup: who sends a generation that is not the newest makes room for the one that does") {
    for (const State state : {State::receiving, State::following}) {
        BackupBench bench;
        bench.bring_to(state);
        bench.backup.superseded(2);  // the answer to an earlier question
        CHECK(bench.backup.state() == state);
        bench.backup.superseded(1);
        CHECK(bench.backup.state() == State::listening);
        CHECK(bench.primary->refusal.starts_with("generation 1 is not the newest any more"));
        CHECK(bench.primary->closed);
        CHECK(bench.discarded == 1);
        CHECK(bench.claims == 0);
        bench.bring_to(State::following);
    }
}

TEST_CASE("backup: what the arbiter said of a generation does not end a claim, nor a guest's run") {
    for (const State state : {State::awaiting_flush, State::deciding, State::running}) {
        BackupBench bench;
        bench.bring_to(state);
        bench.backup.superseded(1);
        CHECK(bench.backup.state() == state);
    }
}
