// SPDX-License-Identifier: Apache-2.0
#include "devices/net/tap_backend.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <thread>

#include "base/log.h"
#include "devices/net/tap_device.h"
#include "support/fake_lines.h"
#include "support/fake_net_backend.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

// Runs the test in a network of its own, with no interface but a loopback that is down; a thread
// that is gone takes it along. Without the right to one, the test says so and does nothing.
template <typename Test>
void in_a_network(Test test) {
    bool has_network = false;
    std::exception_ptr failure;
    std::thread([&] {
        has_network = ::unshare(CLONE_NEWNET) == 0 && UniqueFd(::open("/dev/net/tun", O_RDWR));
        try {
            if (has_network) test();
        } catch (...) {
            failure = std::current_exception();
        }
    }).join();
    if (failure) std::rethrow_exception(failure);
    if (!has_network) WARN("skipped: TAPs need root and /dev/net/tun");
}

// The host's side of an interface.
class Port {
  public:
    explicit Port(const char* name)
        : socket_(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL))) {
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_protocol = htons(ETH_P_ALL);
        address.sll_ifindex = static_cast<int>(::if_nametoindex(name));
        REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                       sizeof address) == 0);
    }
    void send(const Bytes& bytes) const {
        REQUIRE(::send(socket_.get(), bytes.data(), bytes.size(), 0) ==
                static_cast<ssize_t>(bytes.size()));
    }
    Bytes receive() const {
        pollfd ready{socket_.get(), POLLIN, 0};
        ::poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(wait_limit).count()));
        Bytes bytes(70'000);
        const ssize_t size = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
        bytes.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
        return bytes;
    }

  private:
    UniqueFd socket_;
};

// Of a type that no stack answers to.
Bytes experimental(std::size_t size, std::uint8_t fill) {
    Bytes bytes(size, fill);
    bytes[0] = 2;  // not a group's address
    bytes[12] = 0x88;
    bytes[13] = 0xb5;
    return bytes;
}

short flags_of(const char* name) {
    const UniqueFd control(::socket(AF_INET, SOCK_DGRAM, 0));
    ifreq request{};
    std::string_view(name).copy(request.ifr_name, sizeof request.ifr_name - 1);
    REQUIRE(::ioctl(control.get(), SIOCGIFFLAGS, &request) == 0);
    return request.ifr_flags;
}

void set_flags(const char* name, short flags) {
    const UniqueFd control(::socket(AF_INET, SOCK_DGRAM, 0));
    ifreq request{};
    std::string_view(name).copy(request.ifr_name, sizeof request.ifr_name - 1);
    request.ifr_flags = flags;
    REQUIRE(::ioctl(control.get(), SIOCSIFFLAGS, &request) == 0);
}

}  // namespace

TEST_CASE("a TAP that fmvm makes is up, and goes with its descriptor", "[net]") {
    in_a_network([] {
        auto tap = open_tap({.name = "fmvm0", .bridge = {}, .mtu = 1400});
        REQUIRE(tap.ok());
        CHECK((flags_of("fmvm0") & IFF_UP) != 0);
        CHECK(is_tap(tap->get()));
        const auto again = open_tap({.name = "fmvm0", .bridge = {}, .mtu = 1400});
        REQUIRE_FALSE(again.ok());
        CHECK_THAT(again.error().message(), Catch::Contains("another process uses it"));
        tap->reset();
        CHECK(::if_nametoindex("fmvm0") == 0);
    });
}

TEST_CASE("a TAP that fmvm makes is a port of the bridge that is named", "[net]") {
    in_a_network([] {
        char bridge[IFNAMSIZ] = "br0";
        const UniqueFd control(::socket(AF_INET, SOCK_DGRAM, 0));
        REQUIRE(::ioctl(control.get(), SIOCBRADDBR, bridge) == 0);
        auto tap = open_tap({.name = "fmvm0", .bridge = "br0", .mtu = 1500});
        REQUIRE(tap.ok());
        ifreq port{};
        std::string_view("br0").copy(port.ifr_name, sizeof port.ifr_name - 1);
        port.ifr_ifindex = static_cast<int>(::if_nametoindex("fmvm0"));
        CHECK(::ioctl(control.get(), SIOCBRDELIF, &port) == 0);  // it was one
        CHECK(::ioctl(control.get(), SIOCBRDELIF, &port) != 0);
    });
}

TEST_CASE("what is not to be had of a TAP is refused, with the remedy", "[net]") {
    in_a_network([] {
        const auto no_bridge = open_tap({.name = "fmvm0", .bridge = "br0", .mtu = 1500});
        REQUIRE_FALSE(no_bridge.ok());
        CHECK_THAT(no_bridge.error().message(), Catch::Contains("there is no such bridge"));
        CHECK(::if_nametoindex("fmvm0") == 0);
        const auto other = open_tap({.name = "lo", .bridge = {}, .mtu = 1500});
        REQUIRE_FALSE(other.ok());
        CHECK_THAT(other.error().message(), Catch::Contains("an interface of another kind"));
        const auto bridged = open_tap({.name = "lo", .bridge = "br0", .mtu = 1500});
        REQUIRE_FALSE(bridged.ok());
        CHECK_THAT(bridged.error().message(), Catch::Contains("is there already"));
        CHECK_FALSE(adopt_tap(0).ok());
    });
}

TEST_CASE("packets pass a TAP in both directions", "[net]") {
    in_a_network([] {
        EventLoop loop;  // never started
        auto tap = open_tap({.name = "fmvm0", .bridge = {}, .mtu = 1500});
        REQUIRE(tap.ok());
        const Port port("fmvm0");
        TapBackend backend(loop, std::move(*tap), "fmvm0");
        int changes = 0;
        backend.on_change([&] { ++changes; });
        Bytes packet(net_packet_size_max);
        while (backend.receive(packet) != 0) {
        }
        port.send(experimental(200, 5));
        while (changes == 0) {
            loop.context().restart();
            REQUIRE(loop.context().run_one_for(wait_limit) == 1);
        }
        packet.resize(backend.receive(packet));
        CHECK((packet == packet_of({}, experimental(200, 5))));

        const Bytes sent = packet_of({}, experimental(300, 6));
        backend.send({sent.begin(), sent.end()});
        CHECK(backend.take_left() == 1);
        CHECK((port.receive() == experimental(300, 6)));
    });
}

TEST_CASE("a packet that the kernel refuses is lost, and counts as left", "[net]") {
    in_a_network([] {
        log::set_level(log::Level::error);
        EventLoop loop;  // never started
        auto tap = open_tap({.name = "fmvm0", .bridge = {}, .mtu = 1500});
        REQUIRE(tap.ok());
        TapBackend backend(loop, std::move(*tap), "fmvm0");
        set_flags("fmvm0", 0);
        const Bytes sent = packet_of({}, experimental(300, 6));
        backend.send({sent.begin(), sent.end()});
        CHECK(backend.take_left() == 1);
        CHECK(backend.has_room());
        CHECK(backend.link_up());
        log::set_level(log::Level::notice);
    });
}

TEST_CASE("nothing leaves a TAP without the permit, which each write asks for", "[net][output]") {
    in_a_network([] {
        EventLoop loop;  // never started
        auto tap = open_tap({.name = "fmvm0", .bridge = {}, .mtu = 1500});
        REQUIRE(tap.ok());
        const Port port("fmvm0");
        TapBackend backend(loop, std::move(*tap), "fmvm0");
        int permits = 0;
        backend.require_permit([&] { return permits-- > 0; });
        const auto send = [&](std::uint8_t fill) {
            const Bytes packet = packet_of({}, experimental(300, fill));
            backend.send({packet.begin(), packet.end()});
        };
        send(6);
        CHECK_FALSE(backend.has_room());
        CHECK_FALSE(backend.say(experimental(60, 9)));
        backend.withdraw();
        send(7);
        permits = 1;
        backend.ask_again();
        CHECK((port.receive() == experimental(300, 7)));
        CHECK(backend.take_left() == 1);
        CHECK(backend.say(experimental(60, 9)));
        CHECK_FALSE(backend.has_room());
        backend.withdraw();
        permits = 1;
        backend.ask_again();
        CHECK((port.receive() == experimental(60, 9)));
        CHECK(backend.take_left() == 0);
    });
}

TEST_CASE("a TAP takes all offloads that are offered", "[net]") {
    in_a_network([] {
        EventLoop loop;  // never started
        auto tap = open_tap({.name = "fmvm0", .bridge = {}, .mtu = 1500});
        REQUIRE(tap.ok());
        TapBackend backend(loop, std::move(*tap), "fmvm0");
        CHECK(backend.offloads() == (host_offload_features | guest_offload_features));
        backend.accept_offloads(guest_offload_features);
        backend.accept_offloads(0);
        CHECK(backend.link_up());
    });
}

TEST_CASE("a TAP has a carrier only while the guest is at this end", "[net]") {
    in_a_network([] {
        EventLoop loop;  // never started
        auto tap = open_tap({.name = "fmvm0", .bridge = {}, .mtu = 1500});
        REQUIRE(tap.ok());
        const Port port("fmvm0");
        TapBackend backend(loop, std::move(*tap), "fmvm0");
        CHECK(eventually([] { return (flags_of("fmvm0") & IFF_RUNNING) != 0; }));
        port.send(experimental(100, 1));
        backend.plug(false);
        CHECK(eventually([] { return (flags_of("fmvm0") & IFF_RUNNING) == 0; }));
        backend.plug(true);
        CHECK(eventually([] { return (flags_of("fmvm0") & IFF_RUNNING) != 0; }));
        Bytes packet(net_packet_size_max);
        CHECK(backend.receive(packet) == 0);  // what came before is dropped
        const Bytes said = experimental(60, 7);
        backend.say(said);
        CHECK(backend.take_left() == 0);
        CHECK((port.receive() == said));
    });
}
