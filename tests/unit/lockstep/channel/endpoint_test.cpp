// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/endpoint.h"

#include <catch2/catch.hpp>

namespace fmvm::lockstep {

TEST_CASE("an endpoint is a numeric address and a port", "[channel]") {
    CHECK(Endpoint::parse("127.0.0.1:7000").value().port == 7000);
    CHECK(Endpoint::parse("[::1]:7000").value().address == "::1");
    CHECK(Endpoint::parse("[::1]:7000").value().text() == "[::1]:7000");
    CHECK(Endpoint::parse("127.8.0.1:1").value().is_loopback());
    CHECK_FALSE(Endpoint::parse("10.0.0.1:1").value().is_loopback());
    for (const char* bad : {"", ":", "7000", "host:7000", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536",
                            "1.2.3.4:-1", "1.2.3.4:7x", "[::1]7000", "1.2.3:1"}) {
        CHECK_FALSE(Endpoint::parse(bad).ok());
    }
}

TEST_CASE("callers are counted by address, and those of IPv6 by network") {
    CHECK(network_in("192.0.2.1:7000") == "192.0.2.1");
    CHECK(network_in("[2001:db8:1:2::5]:7000") == network_in("[2001:db8:1:2:ffff::6]:8000"));
    CHECK(network_in("[2001:db8:1:2::5]:7000") != network_in("[2001:db8:1:3::5]:7000"));
    CHECK(network_in("[::ffff:192.0.2.1]:7000") != network_in("[::ffff:192.0.2.2]:7000"));
}

}  // namespace fmvm::lockstep
