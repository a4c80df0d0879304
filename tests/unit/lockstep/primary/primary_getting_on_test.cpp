// SPDX-License-Identifier: Apache-2.0
// A primary whose backup gives signs of life and gets no further.
#include <catch2/catch.hpp>

#include "support/captured_log.h"
#include "support/primary_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using namespace std::chrono_literals;

using State = PrimaryState;

namespace {

constexpr std::string_view no_further = "it gives signs of life and gets no further: ";

struct StuckBackup : ReachedPrimary {
    explicit StuckBackup(State state) : ReachedPrimary(state) {}
    // Signs of life come meanwhile.
    void live(std::chrono::milliseconds length) {
        for (const auto until = time + length; time < until;)
            pass(50ms);
    }
    // Why the peer was refused, from where it is stuck on.
    std::string owed() const {
        const std::string told = refusal();
        CHECK(told.starts_with(no_further));
        return told.substr(std::min(told.size(), no_further.size()));
    }
};

}  // namespace

TEST_CASE("primary: a backup that never says welcome is lost", "[getting-on]") {
    StuckBackup bench(State::greeting);
    bench.live(29s);
    CHECK(bench.primary.state() == State::greeting);
    bench.live(2s);
    CHECK(bench.primary.state() == State::alone);
    CHECK(bench.owed().starts_with("it has owed its welcome for 30."));
}

TEST_CASE("primary: a backup that withholds an acknowledgement is lost", "[getting-on]") {
    StuckBackup bench(State::following);
    const CapturedLog log;
    bench.live(1s);
    CHECK(bench.primary.state() == State::following);
    bench.live(400ms);
    CHECK(log.has("waiting for the peer: an acknowledgement is owed"));
    bench.live(2s);
    CHECK(bench.primary.state() == State::deciding);
    CHECK(bench.owed().starts_with("it has owed an acknowledgement for 3."));
    CHECK(bench.claims == std::vector<Generation>{2});
}

TEST_CASE("primary: a backup that does not handle an epoch is lost", "[getting-on]") {
    StuckBackup bench(State::following);
    bench.wire->handled = bench.wire->traffic.sent;
    bench.live(3500ms);
    CHECK(bench.primary.state() == State::deciding);
    CHECK(bench.owed().find("bytes are not handled") != std::string::npos);
}

TEST_CASE("primary: a backup whose disk is slow, and works, is not lost", "[getting-on]") {
    StuckBackup bench(State::following);
    bench.wire->handled = bench.wire->traffic.sent;
    for (int second = 0; second < 30; ++second) {
        bench.live(1s);
        ++bench.wire->steps;
    }
    CHECK(bench.primary.state() == State::following);
}

TEST_CASE("primary: a backup that acknowledges one epoch after the other is not lost",
          "[getting-on]") {
    StuckBackup bench(State::following);
    for (EpochId epoch = 2; epoch < 20; ++epoch) {
        bench.live(1s);  // the second is cut and waits, too
        bench.acknowledge(epoch);
    }
    CHECK(bench.primary.state() == State::following);
}

TEST_CASE("primary: a backup that owes an answer about its disks is lost", "[getting-on]") {
    StuckBackup bench(State::copying);
    bench.live(20s);
    CHECK(bench.primary.state() == State::copying);  // it waits for the guest, say
    bench.source.awaits_disks = true;
    bench.live(5s);
    CHECK(bench.primary.state() == State::copying);
    bench.live(200ms);
    CHECK(bench.primary.state() == State::alone);
    CHECK(bench.owed().starts_with("it has owed an answer about its disks for 5."));
    CHECK(bench.connect_after == StuckBackup::Duration(500ms));  // longer each time
}

TEST_CASE("primary: an answer about disks gives the backup its time again", "[getting-on]") {
    StuckBackup bench(State::copying);
    bench.source.awaits_disks = true;
    for (int i = 0; i < 10; ++i) {
        bench.live(4s);
        bench.receive(FrameType::disk_done, {});
    }
    CHECK(bench.primary.state() == State::copying);
}
