// SPDX-License-Identifier: Apache-2.0
// A backup whose primary gives signs of life and gets no further.
#include <catch2/catch.hpp>

#include "support/backup_bench.h"
#include "support/captured_log.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using namespace std::chrono_literals;

using State = BackupState;

namespace {

// In step. The bench's primary cuts every 50 ms, and is to act first by 30 ms.
struct StuckPrimary : BackupBench {
    StuckPrimary() { bring_to(State::following); }
    void live(std::chrono::milliseconds length) {
        for (auto passed = 0ms; passed < length; passed += 50ms)
            pass(50ms);
    }
};

}  // namespace

TEST_CASE("backup: a primary that does not handle an acknowledgement is lost", "[getting-on]") {
    StuckPrimary bench;
    const CapturedLog log;
    bench.primary->handled = bench.primary->traffic.sent - 1;
    bench.live(3s);
    CHECK(bench.backup.state() == State::following);
    CHECK(log.has("waiting for the primary:1: the next epoch is owed"));
    bench.live(500ms);
    CHECK(bench.backup.state() == State::deciding);
    CHECK(log.has("it gives signs of life and gets no further: it has owed the next epoch for 3."));
    CHECK(log.has("and 1 bytes are not handled"));
    CHECK(bench.claims == 1);
    CHECK(bench.primary->closed);
}

TEST_CASE("backup: a primary that cuts no epoch any more is lost", "[getting-on]") {
    StuckPrimary bench;
    bench.live(3s);
    CHECK(bench.backup.state() == State::following);
    bench.live(500ms);
    CHECK(bench.backup.state() == State::deciding);
}

TEST_CASE("backup: a primary that digests all of a large guest is not lost", "[getting-on]") {
    StuckPrimary bench;
    for (int second = 0; second < 30; ++second) {
        bench.live(1s);
        ++bench.primary->steps;
    }
    CHECK(bench.backup.state() == State::following);
}

TEST_CASE("backup: a primary that cuts now and then is not lost", "[getting-on]") {
    StuckPrimary bench;
    for (EpochId epoch = 2; epoch < 20; ++epoch) {
        bench.live(2s);
        bench.commit(epoch);
    }
    CHECK(bench.backup.state() == State::following);
}

TEST_CASE("backup: a primary that has sent nothing yet may take its time", "[getting-on]") {
    BackupBench bench;
    bench.bring_to(State::receiving);
    for (int i = 0; i < 1200; ++i)
        bench.pass(50ms);
    CHECK(bench.backup.state() == State::receiving);
}

TEST_CASE("backup: its signs say how far it is", "[getting-on]") {
    StuckPrimary bench;
    const std::uint64_t told = bench.lifeline->told;
    CHECK(told > 0);
    bench.commit(2);
    CHECK(bench.lifeline->told > told);
}
