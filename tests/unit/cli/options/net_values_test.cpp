// SPDX-License-Identifier: Apache-2.0
#include "cli/options/net_values.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::cli;
using node::NetOptions;

namespace {

std::string net_refusal(std::string_view text) {
    const auto net = parse_net(text);
    REQUIRE_FALSE(net.ok());
    return net.error().message();
}

Result<std::vector<NetOptions>> from_json(std::string_view text) {
    const auto json = parse_json(text);
    REQUIRE(json.ok());
    return nets_of(json.value());
}

}  // namespace

TEST_CASE("a network card is read from the command line", "[cli][net]") {
    auto tap = parse_net("tap=tap0,bridge=br0,mac=52:54:00:12:34:56,mtu=9000");
    REQUIRE(tap.ok());
    CHECK(tap->kind == NetOptions::Kind::tap);
    CHECK(tap->name == "tap0");
    CHECK(tap->bridge == "br0");
    CHECK(tap->mac == MacAddress{{0x52, 0x54, 0, 0x12, 0x34, 0x56}});
    CHECK(tap->mtu == 9000);
    auto socket = parse_net("mtu=68,socket=/run/passt.sock");
    REQUIRE(socket.ok());
    CHECK(socket->kind == NetOptions::Kind::socket);
    CHECK(to_text(socket.value()) == "socket=/run/passt.sock");
    auto descriptor = parse_net("fd=5");
    REQUIRE(descriptor.ok());
    CHECK(to_text(descriptor.value()) == "fd=5");
    CHECK_FALSE(descriptor->mac);
    CHECK(descriptor->mtu == 1500);
}

TEST_CASE("a network card that cannot be is refused, and it is said why", "[cli][net][hostile]") {
    CHECK_THAT(net_refusal(""), Catch::Contains("is not KEY=VALUE"));
    CHECK_THAT(net_refusal("tap"), Catch::Contains("is not KEY=VALUE"));
    CHECK_THAT(net_refusal("tap="), Catch::Contains("no interface has such a name"));
    CHECK_THAT(net_refusal("tap=a/b"), Catch::Contains("no interface has such a name"));
    CHECK_THAT(net_refusal("tap=0123456789abcdef"),
               Catch::Contains("no interface has such a name"));
    CHECK_THAT(net_refusal("tap=tap%d"), Catch::Contains("no interface has such a name"));
    CHECK_THAT(net_refusal("socket="), Catch::Contains("no socket has such a path"));
    CHECK_THAT(net_refusal("fd=x"), Catch::Contains("is not a number"));
    CHECK_THAT(net_refusal("fd=-1"), Catch::Contains("is not a number"));
    CHECK_THAT(net_refusal("fd=4000000000"), Catch::Contains("out of range"));
    CHECK_THAT(net_refusal("mtu=1500"), Catch::Contains("plugged into nothing"));
    CHECK_THAT(net_refusal("tap=a,socket=b"), Catch::Contains("plugged into two things"));
    CHECK_THAT(net_refusal("tap=a,tap=b"), Catch::Contains("'tap' stands twice"));
    CHECK_THAT(net_refusal("tap=a,mtu=67"), Catch::Contains("give 68 to 65521"));
    CHECK_THAT(net_refusal("tap=a,mtu=65522"), Catch::Contains("give 68 to 65521"));
    CHECK_THAT(net_refusal("tap=a,mac=52"), Catch::Contains("is not a MAC address"));
    CHECK_THAT(net_refusal("tap=a,vhost=on"), Catch::Contains("'vhost' is not a key"));
    CHECK_THAT(net_refusal("socket=a,bridge=b"), Catch::Contains("bridge= is for a TAP"));
}

TEST_CASE("network cards are read from the configuration file", "[cli][net]") {
    auto nets = from_json(
        R"([{"tap": "tap0", "mac": "52:54:00:12:34:56", "mtu": 1400}, {"fd": 4}, "socket=/s"])");
    REQUIRE(nets.ok());
    REQUIRE(nets->size() == 3);
    CHECK(nets.value()[0] == parse_net("tap=tap0,mac=52:54:00:12:34:56,mtu=1400").value());
    CHECK(nets.value()[1] == parse_net("fd=4").value());
    CHECK(nets.value()[2] == parse_net("socket=/s").value());
    for (const char* text : {R"("tap=a")", R"([1])", R"([{"tap": 1}])", R"([{"mtu": 1500}])",
                             R"([{"tap": "a", "speed": 1}])", R"(["tap"])", R"([{"tap": null}])"}) {
        INFO(text);
        CHECK_FALSE(from_json(text).ok());
    }
}

TEST_CASE("network cards are plugged into different things, with different addresses",
          "[cli][net]") {
    const auto check = [](std::initializer_list<const char*> texts) {
        std::vector<NetOptions> nets;
        for (const char* text : texts)
            nets.push_back(parse_net(text).value());
        return check_nets(nets);
    };
    CHECK(check({"tap=a", "tap=b", "socket=a", "fd=3", "fd=4"}).ok());
    CHECK_THAT(check({"tap=a", "tap=b", "tap=a"}).error().message(),
               Catch::Contains("net tap=a: two cards are plugged into it"));
    CHECK_THAT(
        check({"tap=a,mac=52:54:00:12:34:56", "tap=b,mac=52:54:00:12:34:56"}).error().message(),
        Catch::Contains("has the address of another card"));
    CHECK_THAT(check({"fd=1", "fd=2", "fd=3", "fd=4", "fd=5", "fd=6", "fd=7", "fd=8", "fd=9"})
                   .error()
                   .message(),
               Catch::Contains("9 network cards are too many; give at most 8"));
}
