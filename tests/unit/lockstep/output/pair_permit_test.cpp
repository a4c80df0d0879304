// SPDX-License-Identifier: Apache-2.0
#include "lockstep/output/pair_permit.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;

using Right = PairPermit::Right;

namespace {

// A permit of 50 ms, whose margin is 1.1 ms, in a session with a commit.
struct PairPermitBench {
    PairPermitBench() {
        permit->begin_session({50ms, 100ms});
        permit->commits();
    }
    bool is_renewed() const {
        std::uint64_t count = 0;
        return ::read(permit->renewed(), &count, sizeof count) == sizeof count;
    }
    const std::shared_ptr<PairPermit> permit = PairPermit::create().value();
};

}  // namespace

TEST_CASE("pair permit: a side alone asks the arbiter until a commit is sent", "[permit]") {
    const std::shared_ptr<PairPermit> permit = PairPermit::create().value();
    CHECK(permit->right() == Right::alone);
    permit->begin_session({50ms, 100ms});
    CHECK(permit->right() == Right::alone);
    permit->commits();
    CHECK(permit->right() == Right::promises);
    permit->won();
    CHECK(permit->right() == Right::alone);
}

TEST_CASE("pair permit: an echo allows output for as long as the promise is certain", "[permit]") {
    PairPermitBench bench;
    CHECK_FALSE(bench.permit->allows(1s));
    bench.permit->sending(1, false, 1s);
    bench.permit->echoed(1, 1s + 10ms);
    CHECK(bench.permit->allows(1s + 48ms));
    CHECK_FALSE(bench.permit->allows(1s + 49ms));
}

TEST_CASE("pair permit: whoever wants a promise hears of the next one that allows something",
          "[permit]") {
    PairPermitBench bench;
    bench.permit->sending(1, false, 1s);
    bench.permit->sending(2, false, 1s + 40ms);
    bench.permit->want();
    bench.permit->echoed(1, 1s + 60ms);  // too late
    CHECK_FALSE(bench.is_renewed());
    CHECK(bench.permit->why_not().find("take 60 ms") != std::string::npos);
    bench.permit->echoed(2, 1s + 60ms);
    CHECK(bench.is_renewed());
    bench.permit->sending(3, false, 1s + 60ms);
    bench.permit->echoed(3, 1s + 61ms);  // nobody wanted it
    CHECK_FALSE(bench.is_renewed());
}

TEST_CASE("pair permit: what one session was promised does not count in the next", "[permit]") {
    PairPermitBench bench;
    bench.permit->sending(1, false, 1s);
    bench.permit->echoed(1, 1s);
    bench.permit->begin_session({50ms, 100ms});
    CHECK_FALSE(bench.permit->allows(1s + 1ms));
}

TEST_CASE("pair permit: a guest that is handed over says nothing more in this session",
          "[permit]") {
    PairPermitBench bench;
    bench.permit->sending(1, false, 1s);
    bench.permit->sending(2, false, 1s + 1ms);
    bench.permit->echoed(1, 1s + 1ms);
    bench.permit->renounce();
    CHECK_FALSE(bench.permit->allows(1s + 2ms));
    bench.permit->echoed(2, 1s + 2ms);
    CHECK_FALSE(bench.permit->allows(1s + 2ms));
}

TEST_CASE("pair permit: whoever waits for a promise hears that the right is another one",
          "[permit]") {
    PairPermitBench bench;
    bench.permit->want();
    bench.permit->won();
    CHECK(bench.is_renewed());
}

TEST_CASE("pair permit: the end of a run is the end of promises, and of nothing else", "[permit]") {
    PairPermitBench bench;
    bench.permit->end();
    CHECK(bench.permit->right() == Right::ending);
    bench.permit->won();
    bench.permit->end();
    CHECK(bench.permit->right() == Right::alone);
}

TEST_CASE("pair permit: the end of a run whose guest was handed over leaves no right", "[permit]") {
    PairPermitBench bench;
    bench.permit->begin_session({});
    bench.permit->commits();
    bench.permit->renounce();
    bench.permit->end();
    CHECK(bench.permit->right() == Right::none);
}
