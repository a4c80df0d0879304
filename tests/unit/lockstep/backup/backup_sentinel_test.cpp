// SPDX-License-Identifier: Apache-2.0
// What a backup does when the sentinel of its primary says that the primary has died.
#include <catch2/catch.hpp>

#include "lockstep/backup/backup.h"
#include "support/backup_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using namespace std::chrono_literals;

using State = BackupState;

TEST_CASE("backup: it claims at once when its primary's sentinel speaks") {
    for (const State state : {State::following, State::awaiting_flush}) {
        BackupBench bench;
        bench.bring_to(state);
        REQUIRE(bench.claims == 0);
        bench.disks.flushing = false;
        bench.backup.primary_died();
        bench.pass(0ms);
        CHECK(bench.backup.state() == State::deciding);
        CHECK(bench.claims == 1);
        CHECK(bench.primary->closed);
    }
}

TEST_CASE("backup: it has nothing to take over when the primary dies before it was in step") {
    BackupBench bench;
    bench.bring_to(State::receiving);
    bench.backup.primary_died();
    bench.pass(0ms);
    CHECK(bench.backup.state() == State::listening);
    CHECK(bench.claims == 0);
    CHECK(bench.primary->closed);
}

TEST_CASE("backup: a sentinel that speaks after the connection was closed changes nothing") {
    BackupBench bench;
    bench.bring_to(State::following);
    bench.backup.channel_lost("the connection was closed");
    REQUIRE(bench.claims == 1);
    bench.backup.primary_died();
    bench.pass(0ms);
    CHECK(bench.claims == 1);
    bench.answer(Claim::won);
    CHECK(bench.backup.state() == State::running);
    bench.backup.primary_died();
    bench.pass(0ms);
    CHECK(bench.backup.state() == State::running);
}

TEST_CASE("backup: its guest speaks at once when the primary is dead for certain") {
    for (const bool is_late : {false, true}) {
        BackupBench bench;
        bench.bring_to(State::following);
        REQUIRE(bench.lifeline_terms->half.takes(50ms, 1h));
        if (is_late) bench.backup.channel_lost("the connection was closed");
        bench.backup.primary_died();
        bench.pass(0ms);
        bench.answer(Claim::won);
        CHECK(bench.speak_from == 0s);
    }
}

TEST_CASE("backup: an unfit copy is not taken over, whoever says that the primary is dead") {
    BackupBench bench;
    bench.bring_to(State::following);
    bench.disks.failed = true;
    bench.backup.primary_died();
    bench.pass(0ms);
    CHECK(bench.claims == 0);
    CHECK(bench.backup.state() == State::listening);
}
