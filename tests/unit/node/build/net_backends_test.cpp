// SPDX-License-Identifier: Apache-2.0
#include "node/build/net_backends.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::node;

namespace {

NetOptions card(std::string tap) {
    NetOptions options;
    options.kind = NetOptions::Kind::tap;
    options.name = std::move(tap);
    return options;
}

constexpr lockstep::VmId nobody{};
constexpr lockstep::VmId vm{1, 2, 3};

}  // namespace

TEST_CASE("a card's address is the one that it was given", "[net]") {
    NetOptions options = card("vm0");
    options.mac = parse_mac_address("52:54:00:12:34:56").value();
    CHECK(to_text(mac_address_of(options, vm, 3)) == "52:54:00:12:34:56");
    CHECK(to_text(mac_address_of(options, nobody, 3)) == "52:54:00:12:34:56");
}

TEST_CASE("a protected guest's card has the same address whatever it is plugged into", "[net]") {
    const MacAddress address = mac_address_of(card("vm0"), vm, 0);
    CHECK(mac_address_of(card("other0"), vm, 0) == address);
    CHECK(mac_address_of(card("vm0"), vm, 1) != address);
    CHECK(mac_address_of(card("vm0"), lockstep::VmId{1, 2, 4}, 0) != address);
}

TEST_CASE("the card of a guest that runs alone has the address of its port on this host", "[net]") {
    const MacAddress address = mac_address_of(card("vm0"), nobody, 0);
    CHECK(mac_address_of(card("vm0"), nobody, 0) == address);
    CHECK(mac_address_of(card("vm1"), nobody, 0) != address);
}
