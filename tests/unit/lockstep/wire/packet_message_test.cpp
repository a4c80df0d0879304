// SPDX-License-Identifier: Apache-2.0
#include "lockstep/wire/packet_message.h"

#include <catch2/catch.hpp>

#include "devices/net/net_header.h"
#include "support/wire_form.h"

using namespace fmvm;
using namespace fmvm::lockstep;

namespace {

constexpr std::size_t smallest = net_header_size + ethernet_header_size;

bool is_accepted(const PacketMessage& message) {
    return PacketMessage::decode(message.encode()).ok();
}

}  // namespace

TEST_CASE("a packet message looks like this on the wire", "[messages]") {
    std::vector<std::uint8_t> packet(smallest);
    packet.front() = 1;
    packet.back() = 2;
    test::check_wire_form(PacketMessage{3, 0x0102030405060708, packet},
                          "03 0807060504030201 1a000000 "
                          "0100000000000000000000000000000000000000000000000002");
}

TEST_CASE("a packet message holds a packet that a card could have taken", "[messages][hostile]") {
    const std::vector<std::uint8_t> packet(smallest);
    CHECK(is_accepted({0, 0, packet}));
    CHECK(is_accepted({PacketMessage::cards_max - 1, UINT64_MAX - 1, packet}));
    CHECK(is_accepted({0, 0, std::vector<std::uint8_t>(net_packet_size_max)}));
    CHECK_FALSE(is_accepted({PacketMessage::cards_max, 0, packet}));
    CHECK_FALSE(is_accepted({0, UINT64_MAX, packet}));
    CHECK_FALSE(is_accepted({0, 0, std::vector<std::uint8_t>(smallest - 1)}));
    CHECK_FALSE(is_accepted({0, 0, std::vector<std::uint8_t>(net_packet_size_max + 1)}));
}
