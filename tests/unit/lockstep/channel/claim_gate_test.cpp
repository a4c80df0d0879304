// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/claim_gate.h"

#include <catch2/catch.hpp>

using namespace fmvm::lockstep;
using namespace std::chrono_literals;

TEST_CASE("claim gate: the side speaks when its newest promise is over", "[permit]") {
    ClaimGate gate(100ms);
    CHECK(gate.promise(50ms, 1h));
    CHECK(gate.promise(50ms, 1h + 1ms));
    CHECK(gate.close() == 1h + 51ms);
}

TEST_CASE("claim gate: nothing is promised once a claim has begun", "[permit]") {
    ClaimGate gate(100ms);
    CHECK(gate.promise(50ms, 1h));
    CHECK(gate.close() == 1h + 50ms);
    CHECK_FALSE(gate.promise(50ms, 1h + 10ms));
    CHECK(gate.close() == 1h + 50ms);
}

TEST_CASE("claim gate: a side that has promised nothing need not wait", "[permit]") {
    CHECK(ClaimGate(100ms).close() == BootTime::zero());
}

TEST_CASE("claim gate: what the primary has renounced is not waited for", "[permit]") {
    ClaimGate gate(100ms);
    CHECK(gate.promise(50ms, 1h));
    gate.release();
    CHECK_FALSE(gate.promise(50ms, 1h + 1ms));
    CHECK(gate.close() == BootTime::zero());
}

TEST_CASE("claim gate: a long promise outlasts a shorter one that was given later", "[permit]") {
    ClaimGate gate(100ms);
    CHECK(gate.promise(100ms, 1h));
    CHECK(gate.promise(20ms, 1h + 10ms));
    CHECK(gate.close() == 1h + 100ms);
}

TEST_CASE("claim gate: nothing is promised for longer than it may be", "[permit]") {
    ClaimGate gate(100ms);
    CHECK(gate.promise(100ms, 1h));
    CHECK_FALSE(gate.promise(100ms + 1ns, 1h + 1ms));
    CHECK(gate.close() == 1h + 100ms);
}
