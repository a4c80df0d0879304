// SPDX-License-Identifier: Apache-2.0
#include "devices/net/mac_address.h"

#include <catch2/catch.hpp>
#include <set>

using namespace fmvm;

TEST_CASE("a MAC address is read and written the same way", "[net]") {
    const auto address = parse_mac_address("52:54:00:a1:0B:ff");
    REQUIRE(address.ok());
    CHECK(address.value() == MacAddress{{0x52, 0x54, 0x00, 0xa1, 0x0b, 0xff}});
    CHECK(to_text(address.value()) == "52:54:00:a1:0b:ff");
}

TEST_CASE("what is no MAC address of a card is refused, and it is said why", "[net][hostile]") {
    for (const char* text :
         {"", "52:54:00:12:34", "52:54:00:12:34:56:", "52-54-00-12-34-56", "5254:00:12:34:567",
          "52:54:00:12:34:5g", "52:54:00:12:34: 6", "52:54:00:12:34:+6", "052:54:00:12:34:5"}) {
        INFO(text);
        const auto address = parse_mac_address(text);
        REQUIRE_FALSE(address.ok());
        CHECK_THAT(address.error().message(), Catch::Contains("is not a MAC address like"));
    }
    CHECK_THAT(parse_mac_address("01:00:5e:00:00:01").error().message(),
               Catch::Contains("the address of a group"));
    CHECK_THAT(parse_mac_address("00:00:00:00:00:00").error().message(),
               Catch::Contains("nobody's address"));
}

TEST_CASE("a derived MAC address is the same each time, local, and each card's own", "[net]") {
    std::set<MacAddress> seen;
    for (const char* owner : {"a", "b", "another guest"}) {
        for (unsigned number = 0; number < 8; ++number) {
            const MacAddress address = derived_mac_address(owner, number);
            CHECK(address == derived_mac_address(owner, number));
            CHECK_FALSE(address.is_group());
            CHECK((address.bytes[0] & 2) != 0);
            seen.insert(address);
        }
    }
    CHECK(seen.size() == 24);
    // Guests know their address, so it must stay what it is.
    CHECK(to_text(derived_mac_address("a", 0)) == "1e:4e:96:1e:b6:32");
}
