// SPDX-License-Identifier: Apache-2.0
#include "lockstep/output/right_to_speak.h"

#include <atomic>
#include <catch2/catch.hpp>

#include "base/log.h"
#include "support/captured_log.h"
#include "support/fake_arbiter.h"
#include "support/fake_lines.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using namespace std::chrono_literals;

namespace {

using Permit = RightToSpeak::Permit;

// A loop, and somebody on it who wants to emit: asks when told to, and again at each answer. The
// clock stands.
struct SpeakerBench {
    explicit SpeakerBench(BootTime speak_from = 0s)
        : right(loop, permit, pair, {.speak_from = speak_from, .ending_valid_for = 100ms},
                [this] { return BootTime(now); }) {
        right.on_answer([this] {
            if (std::exchange(wanting, false)) want();
        });
        loop.start();
    }
    ~SpeakerBench() {
        arbiter->hang(false);
        loop.stop();
    }
    void want() {
        const Permit answer = right.ask(0ms);
        wanting = answer == Permit::withheld;
        if (answer == Permit::granted) ++granted;
        if (answer == Permit::revoked) ++revoked;
    }
    void emit() {
        loop.run_sync([this] { want(); });
    }
    // A backup may take over, and has promised nothing yet.
    void protect() {
        pair->begin_session({50ms, 100ms});
        pair->commits();
    }
    // The backup promises.
    void promise() {
        pair->sending(++signs, false, BootTime(now));
        pair->echoed(signs, BootTime(now));
    }

    std::atomic<BootTime::rep> now{BootTime(100s).count()};
    const std::shared_ptr<FakeArbiter> arbiter = std::make_shared<FakeArbiter>();
    const std::shared_ptr<PairPermit> pair = PairPermit::create().value();
    EventLoop loop;
    OutputPermit permit{loop, arbiter, [] { return Generation{1}; },
                        [this] { return BootTime(now); }};
    RightToSpeak right;
    std::uint64_t signs = 0;
    bool wanting = false;  // loop only
    std::atomic<int> granted{0};
    std::atomic<int> revoked{0};
};

}  // namespace

TEST_CASE("right to speak: a pair speaks by the backup's promises, without an arbiter",
          "[permit]") {
    SpeakerBench bench;
    bench.arbiter->hang(true);
    bench.protect();
    bench.promise();
    bench.emit();
    bench.emit();
    CHECK(bench.granted == 2);
    CHECK(bench.arbiter->asked() == 0);
}

TEST_CASE("right to speak: without a promise a pair is silent, and goes on with the next one",
          "[permit]") {
    SpeakerBench bench;
    bench.protect();
    bench.emit();
    CHECK(bench.granted == 0);
    bench.promise();
    CHECK(eventually([&] { return bench.granted == 1; }));
    bench.now = bench.now + BootTime(50ms).count();
    bench.emit();
    CHECK(bench.granted == 1);  // that promise is over
    CHECK(bench.arbiter->asked() == 0);
}

TEST_CASE("right to speak: a side alone asks the arbiter each time", "[permit]") {
    SpeakerBench bench;
    bench.emit();
    CHECK(eventually([&] { return bench.granted == 1; }));
    bench.arbiter->supersede();
    bench.emit();
    CHECK(eventually([&] { return bench.revoked == 1; }));
}

TEST_CASE("right to speak: who wins while it waits for a promise asks the arbiter", "[permit]") {
    SpeakerBench bench;
    bench.protect();
    bench.emit();
    CHECK(bench.granted == 0);
    bench.pair->won();
    CHECK(eventually([&] { return bench.granted == 1; }));
    CHECK(bench.arbiter->asked() >= 1);
}

TEST_CASE(
    "right to speak: an answer that comes late counts for a side alone, and not at the end "
    "of a run",
    "[permit]") {
    SpeakerBench bench;
    const bool alone = GENERATE(true, false);
    CAPTURE(alone);
    if (!alone) {
        bench.protect();
        bench.pair->end();
    }
    bench.arbiter->hang(true);
    bench.emit();
    REQUIRE(eventually([&] { return bench.arbiter->asked() == 1; }));
    bench.now = bench.now + BootTime(5s).count();
    bench.arbiter->hang(false);
    REQUIRE(eventually([&] { return bench.granted == 1; }));
    CHECK((bench.arbiter->asked() == 1) == alone);
}

TEST_CASE("right to speak: nothing leaves before its time, and then at once", "[permit]") {
    SpeakerBench bench(100s + 30ms);
    bench.emit();
    CHECK(bench.granted == 0);
    CHECK(bench.arbiter->asked() == 0);
    bench.now = BootTime(100s + 30ms).count();
    CHECK(eventually([&] { return bench.granted == 1; }));
}

TEST_CASE("right to speak: who may wait waits for the promise", "[permit]") {
    SpeakerBench bench;
    bench.protect();
    bench.loop.quiesce();
    CHECK(bench.right.ask(2ms) == Permit::withheld);
    std::thread backup([&] { bench.promise(); });
    CHECK(bench.right.ask(60s) == Permit::granted);
    backup.join();
    bench.loop.resume();
}

TEST_CASE("right to speak: output that waits is told of, and why", "[permit]") {
    SpeakerBench bench;
    const CapturedLog log;
    bench.protect();
    bench.emit();
    CHECK(eventually([&] {
        return log.has("the guest's output waits: the backup does not answer signs of life");
    }));
    bench.promise();
    CHECK(eventually([&] { return log.has("output goes on; it waited for"); }));
}

TEST_CASE("right to speak: what is left of a guest that was handed over is dropped", "[permit]") {
    SpeakerBench bench;
    bench.protect();
    bench.promise();
    bench.pair->renounce();
    bench.emit();
    CHECK(bench.revoked == 0);
    bench.pair->end();
    CHECK(eventually([&] { return bench.revoked == 1; }));
    CHECK(bench.granted == 0);
    CHECK(bench.arbiter->asked() == 0);
}
