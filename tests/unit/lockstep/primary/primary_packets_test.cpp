// SPDX-License-Identifier: Apache-2.0
// What comes from outside goes to the backup as long as it may take over.
#include "lockstep/primary/primary.h"

#include <catch2/catch.hpp>

#include "support/primary_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;
using State = PrimaryState;
using Reached = test::ReachedPrimary;

namespace {

const PacketMessage packet{0, 5, std::vector<std::uint8_t>(60)};

std::size_t forwarded(const Reached& bench) {
    return bench.wire ? bench.wire->count(FrameType::packet) : 0;
}

}  // namespace

TEST_CASE("primary: packets are forwarded to a backup that is in step, and to nobody else",
          "[primary][input]") {
    for (const State state : {State::alone, State::copying, State::following, State::deciding}) {
        INFO(name_of(state));
        Reached bench(state);
        bench.source.packets = {packet, packet};
        bench.primary.packets_waiting();
        CHECK(forwarded(bench) == (state == State::following ? 2 : 0));
    }
}

TEST_CASE("primary: a side that hands over forwards what still comes to it", "[primary][input]") {
    Reached bench(State::following);
    bench.begin_switch_over();
    bench.source.packets = {packet};
    bench.acknowledge(2);
    REQUIRE(bench.primary.state() == State::handing_over);
    bench.pass(0ms);
    CHECK(forwarded(bench) == 1);
    bench.source.packets = {packet};
    bench.pass(2ms);
    CHECK(forwarded(bench) == 2);
    CHECK(bench.primary.deadline() <= bench.time + 1ms);
    bench.receive(SwitchedMessage{2});
    bench.primary.claimed(Claim::won);
    bench.connect();
    CHECK(bench.primary.deadline() > bench.time);
}

TEST_CASE("primary: packets that would wait long are not forwarded", "[primary][input]") {
    Reached bench(State::following);
    bench.wire->queued_bytes = 3 * channel_high_water;
    bench.source.packets = {packet};
    bench.primary.packets_waiting();
    CHECK(forwarded(bench) == 0);
    CHECK(bench.source.packets.empty());
}
