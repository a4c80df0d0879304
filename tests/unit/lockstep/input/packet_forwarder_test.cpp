// SPDX-License-Identifier: Apache-2.0
#include "lockstep/input/packet_forwarder.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::lockstep;

namespace {

using Packet = std::vector<std::uint8_t>;

struct Bench {
    Bench() {
        forwarder.on_waiting([this] { ++told; });
        forwarder.begin();
    }
    PacketForwarder forwarder;
    int told = 0;
};

}  // namespace

TEST_CASE("packets that were taken are collected in order, and told of once", "[input]") {
    Bench bench;
    bench.forwarder.took(1, 7, Packet{1, 2});
    bench.forwarder.took(0, 3, Packet{3});
    CHECK(bench.told == 1);
    const std::vector<PacketMessage> packets = bench.forwarder.collect();
    REQUIRE(packets.size() == 2);
    CHECK(packets[0].card == 1);
    CHECK(packets[0].position == 7);
    CHECK(packets[0].packet == Packet{1, 2});
    CHECK(packets[1].packet == Packet{3});
    CHECK(bench.forwarder.collect().empty());
    bench.forwarder.took(0, 4, Packet{4});
    CHECK(bench.told == 2);
}

TEST_CASE("nothing is kept for a backup that is not there", "[input]") {
    Bench bench;
    bench.forwarder.took(0, 1, Packet{1});
    bench.forwarder.end();
    bench.forwarder.took(0, 2, Packet{2});
    CHECK(bench.told == 1);
    bench.forwarder.begin();
    CHECK(bench.forwarder.collect().empty());
}

TEST_CASE("packets that nobody collects are bounded, and later ones go on", "[input]") {
    Bench bench;
    const Packet packet(60'000);
    for (std::uint64_t position = 0; position < 1000; ++position)
        bench.forwarder.took(0, position, packet);
    CHECK(bench.forwarder.collect().size() == PacketForwarder::waiting_bytes_max / packet.size());
    bench.forwarder.took(0, 1000, packet);
    CHECK(bench.forwarder.collect().size() == 1);
}

TEST_CASE("each card takes what is outside when it is asked to", "[input]") {
    Bench bench;
    for (std::uint8_t card = 0; card < 2; ++card)
        bench.forwarder.add_card([&, card] { bench.forwarder.took(card, 0, Packet{card}); });
    bench.forwarder.pull();
    CHECK(bench.forwarder.collect().size() == 2);
}
