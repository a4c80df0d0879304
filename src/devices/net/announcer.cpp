// SPDX-License-Identifier: Apache-2.0
#include "devices/net/announcer.h"

#include <algorithm>
#include <array>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

namespace fmvm {

namespace {

using std::chrono::milliseconds;

// From one announcement to the next: 0, 2, 10, 50, 200 and 1,000 ms after the first.
constexpr std::array pauses{milliseconds(0),  milliseconds(2),   milliseconds(8),
                            milliseconds(40), milliseconds(150), milliseconds(800)};
// To the next attempt at one that may not leave yet.
constexpr milliseconds retry_pause{2};

using Frame = std::array<std::uint8_t, 60>;  // the least that an Ethernet carries

Frame rarp_request(const MacAddress& mac) {
    // RFC 903: Ethernet, type 0x8035; then hardware type 1, protocol 0x0800, the sizes of the
    // addresses, "request reverse", and the sender's and the target's pair of addresses.
    constexpr std::array<std::uint8_t, 10> head{0x80, 0x35, 0, 1, 0x08, 0, 6, 4, 0, 3};
    Frame frame{};
    std::fill_n(frame.begin(), 6, std::uint8_t{0xff});
    std::ranges::copy(mac.bytes, frame.begin() + 6);
    std::ranges::copy(head, frame.begin() + 12);
    std::ranges::copy(mac.bytes, frame.begin() + 22);
    std::ranges::copy(mac.bytes, frame.begin() + 32);
    return frame;
}

}  // namespace

struct Announcer::Timer {
    explicit Timer(EventLoop& loop) : timer(loop.context()) {}
    boost::asio::steady_timer timer;
};

Announcer::Announcer(EventLoop& loop, NetBackend& backend, const MacAddress& mac)
    : loop_(loop), backend_(backend), mac_(mac), timer_(std::make_unique<Timer>(loop)) {}

Announcer::~Announcer() = default;

void Announcer::begin() {
    loop_.post(tasks_.bind([this] { announce(0); }));
}

void Announcer::announce(std::size_t turn) {
    const bool said = backend_.say(rarp_request(mac_));
    if (said && ++turn == pauses.size()) return;
    timer_->timer.expires_after(said ? pauses[turn] : retry_pause);
    timer_->timer.async_wait(tasks_.bind([this, turn](const boost::system::error_code& error) {
        if (!error) announce(turn);
    }));
}

}  // namespace fmvm
