// SPDX-License-Identifier: Apache-2.0
#include "node/run/net_comparison.h"

#include <catch2/catch.hpp>

#include "devices/net/net_header.h"

using namespace fmvm;

namespace {

constexpr NetShape card{{2, 0, 0, 0, 0, 1}, 1500, net_f_mac | net_f_csum};

std::string difference(const NetShape& backup) {
    const auto compared = node::compare_nets({card, card}, {card, backup});
    REQUIRE_FALSE(compared.ok());
    return compared.error().message();
}

}  // namespace

TEST_CASE("network cards that are the same on both sides are accepted", "[net]") {
    CHECK(node::compare_nets({}, {}).ok());
    CHECK(node::compare_nets({card}, {card}).ok());
}

TEST_CASE("what differs about a network card is told", "[net]") {
    NetShape other = card;
    other.mac[5] = 2;
    other.mtu = 9000;
    CHECK(difference(other) ==
          "network card 1 differs (mac=02:00:00:00:00:01 on the primary, 02:00:00:00:00:02 here; "
          "mtu=1500 on the primary, 9000 here); give the same on both sides");
    other = card;
    other.features = net_f_mac;
    CHECK_THAT(difference(other), Catch::Contains("a TAP on the primary, a socket here"));
    other.features = card.features | net_f_mtu;
    CHECK_THAT(difference(other), Catch::Contains("features 0x21 on the primary, 0x29 here"));
    CHECK_THAT(node::compare_nets({card}, {}).error().message(),
               Catch::Contains("the primary has 1 network cards, this backup 0"));
}
