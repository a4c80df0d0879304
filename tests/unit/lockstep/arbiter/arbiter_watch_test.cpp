// SPDX-License-Identifier: Apache-2.0
#include "lockstep/arbiter/arbiter_watch.h"

#include <catch2/catch.hpp>

#include "lockstep/channel/permit_terms.h"
#include "support/captured_log.h"
#include "support/pipe.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using namespace std::chrono_literals;

namespace {

struct WatchBench {
    // Runs the watch until then; the arbiter answers at once, unless it hangs.
    void run_until(ArbiterWatch::TimePoint end) {
        while (watch.deadline() <= end) {
            now = watch.deadline();
            if (!watch.tick(now)) continue;
            ++trials;
            if (!hangs) watch.answered(state, now);
        }
        now = end;
    }

    ArbiterWatch::TimePoint now{1000s};
    ArbiterWatch watch{"backup", could_claim_question};
    Result<void> state;
    bool hangs = false;
    unsigned trials = 0;
};

}  // namespace

TEST_CASE("arbiter watch: a claim is tried out every minute while a pair lasts", "[arbiter]") {
    const CapturedLog log;
    WatchBench bench;
    bench.run_until(bench.now + 10min);
    CHECK(bench.trials == 0);
    bench.watch.begin(bench.now);
    bench.run_until(bench.now + 10min);
    CHECK(bench.trials == 10);
    bench.watch.end();
    CHECK(bench.watch.deadline() == ArbiterWatch::TimePoint::max());
    CHECK(log.text().empty());
}

TEST_CASE("arbiter watch: an arbiter that could take no claim is told of, rarely, and its end",
          "[arbiter]") {
    const CapturedLog log;
    WatchBench bench;
    bench.watch.begin(bench.now);
    bench.state = Error("Read-only file system");
    bench.run_until(bench.now + 61s);
    CHECK(eventually([&] { return log.count("could take no claim") == 1; }));
    CHECK(log.has("Read-only file system"));
    bench.run_until(bench.now + 20min);
    CHECK(eventually([&] { return log.count("could take no claim") == 3; }));
    CHECK(bench.trials > 100);
    bench.state = {};
    bench.run_until(bench.now + 10s);
    CHECK(eventually([&] { return log.has("could take a claim again; it could not for 20 min"); }));
}

TEST_CASE("arbiter watch: an arbiter that hangs is told of within seconds, and asked once",
          "[arbiter]") {
    const CapturedLog log;
    WatchBench bench;
    bench.watch.begin(bench.now);
    bench.hangs = true;
    bench.run_until(bench.now + 62s);
    CHECK(eventually([&] { return log.has("it does not answer"); }));
    bench.run_until(bench.now + 30min);
    CHECK(bench.trials == 1);
    bench.hangs = false;
    bench.watch.answered({}, bench.now);
    CHECK(eventually([&] { return log.has("could take a claim again"); }));
    bench.run_until(bench.now + 1min);
    CHECK(bench.trials == 2);
}

TEST_CASE("arbiter watch: what comes of a trial when the pair is gone does not count",
          "[arbiter]") {
    const CapturedLog log;
    WatchBench bench;
    bench.watch.begin(bench.now);
    bench.hangs = true;
    bench.run_until(bench.now + 60s);
    bench.watch.end();
    bench.watch.answered(Error("Read-only file system"), bench.now);
    CHECK(bench.watch.deadline() == ArbiterWatch::TimePoint::max());
    CHECK(log.text().empty());
}

TEST_CASE("arbiter watch: a side that begins anew is silent for longer than two questions take",
          "[arbiter]") {
    CHECK(longest_permit > 2 * newest_question.interval + ArbiterWatch::patience);
}
