// SPDX-License-Identifier: Apache-2.0
// What a backup promises by its lifeline, and when it claims and speaks.
#include <catch2/catch.hpp>

#include "support/backup_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using namespace std::chrono_literals;

using State = BackupState;

namespace {

// The primary's silence after which the backup of the bench acts: lost-after, one and a quarter
// heartbeats, and its claim delay.
constexpr std::chrono::microseconds acts_after = 200ms + 62ms + 500us + 30ms;

}  // namespace

TEST_CASE("backup: what it has promised is over before its guest speaks") {
    BackupBench bench;
    bench.bring_to(State::following);
    PermitHalf& half = bench.lifeline_terms->half;
    CHECK(half.takes(50ms, 1h));
    CHECK(half.takes(50ms, 1h + 10ms));
    bench.backup.channel_lost("the line is cut");
    CHECK_FALSE(half.takes(50ms, 1h + 20ms));  // the claim has begun
    bench.answer(Claim::won);
    CHECK(bench.speak_from == 1h + 60ms);
}

TEST_CASE("backup: a claim that has to be repeated waits for the same promise") {
    BackupBench bench;
    bench.bring_to(State::following);
    CHECK(bench.lifeline_terms->half.takes(50ms, 1h));
    bench.backup.channel_lost("the line is cut");
    bench.answer(Error("the mount is gone"));
    bench.pass(500ms);
    bench.answer(Claim::won);
    CHECK(bench.speak_from == 1h + 50ms);
}

TEST_CASE("backup: a guest that is handed over speaks at once") {
    BackupBench bench;
    bench.bring_to(State::following);
    PermitHalf& half = bench.lifeline_terms->half;
    CHECK(half.takes(50ms, 1h));
    bench.say(SwitchOverMessage{1});
    CHECK_FALSE(half.takes(50ms, 1h + 1ms));
    bench.answer(Claim::won);
    CHECK(bench.speak_from == 0s);
}

TEST_CASE("backup: in a silence the primary has time to claim first") {
    BackupBench bench;
    bench.bring_to(State::following);
    bench.primary->silent_since = bench.now();
    for (auto passed = 0us; passed + 10ms < acts_after; passed += 10ms)
        bench.pass(10ms);
    CHECK(bench.backup.state() == State::following);
    bench.pass(10ms);
    bench.pass(10ms);
    CHECK(bench.backup.state() == State::deciding);
}

TEST_CASE("backup: a closed connection is acted on at once") {
    BackupBench bench;
    bench.bring_to(State::following);
    bench.backup.channel_lost("the peer closed the connection");
    CHECK(bench.backup.state() == State::deciding);
}

TEST_CASE("backup: a primary that ends the connection has time to claim first") {
    BackupBench bench;
    bench.bring_to(State::following);
    bench.say(RefuseMessage{"no sign of life came for too long"});
    REQUIRE(bench.backup.state() == State::deciding);
    bench.pass(20ms);
    CHECK(bench.claims == 0);
    bench.pass(10ms);
    CHECK(bench.claims == 1);
}

TEST_CASE("backup: a lifeline that closes leaves the channel time to say why") {
    BackupBench bench;
    bench.bring_to(State::following);
    bench.lifeline_terms->lost("the peer closed its lifeline");
    CHECK(bench.lifeline->closed);
    bench.pass(100ms);
    CHECK(bench.backup.state() == State::following);
    SECTION("the guest has ended") {
        bench.say(EndedMessage{"powered off"});
        CHECK(bench.ended);
    }
    SECTION("it says nothing") {
        bench.pass(100ms);
        bench.pass(100ms);
        CHECK(bench.backup.state() == State::deciding);
        CHECK(bench.primary->closed);
    }
}

TEST_CASE("backup: a primary that begins no lifeline is lost") {
    BackupBench bench;
    bench.lifeline_lives = false;
    bench.bring_to(State::receiving);
    for (int i = 0; i < 49; ++i)
        bench.pass(100ms);
    CHECK(bench.backup.state() == State::receiving);
    bench.pass(100ms);
    CHECK(bench.backup.state() == State::listening);
}
