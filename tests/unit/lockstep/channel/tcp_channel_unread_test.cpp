// SPDX-License-Identifier: Apache-2.0
// What a peer that reads slowly, or not at all, costs the side that sends.
#include <ctime>
#include <fstream>
#include <utility>

#include "lockstep/channel/tcp_channel.h"
#include "lockstep/channel/unread_limit.h"
#include "support/connected_channels.h"

namespace fmvm::lockstep {

using test::Connected;

namespace {

// How many bytes a sender can be rid of while its peer's user reads none: what the channel takes
// in, and what Linux lets the buffers of both sockets grow to (tcp(7)).
std::size_t bytes_without_reader() {
    std::size_t bytes = UnreadLimit::bytes_max;
    for (const char* const file : {"/proc/sys/net/ipv4/tcp_rmem", "/proc/sys/net/ipv4/tcp_wmem"}) {
        std::size_t least = 0, usual = 0, most = 0;
        std::ifstream(file) >> least >> usual >> most;
        bytes += most;
    }
    return bytes;
}

}  // namespace

TEST_CASE("channel: a write that takes long costs nothing but time", "[channel]") {
    Connected pair;
    const auto cpu = [] {
        timespec used{};
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
        return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
    };
    pair.far_loops.on_user([&] {  // does not read, so that sooner or later nothing moves
        pair.near_loops.on_user([&] {
            pair.near_channel->keep_alive(std::chrono::milliseconds(2), Heartbeat::Role::leads);
            for (std::size_t sent = 0; sent < bytes_without_reader() + 16 * mib; sent += mib)
                pair.near_channel->send(FrameType::pages, std::vector<std::uint8_t>(1 * mib));
        });
        std::size_t queued = 0;
        CHECK(test::eventually([&] {
            const std::size_t before = std::exchange(queued, pair.near_channel->queued_bytes());
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            return before == queued && queued != 0;
        }));
        const auto began = std::chrono::steady_clock::now();
        const auto used = cpu();
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        const auto passed = std::chrono::steady_clock::now() - began;
        CHECK(cpu() - used < passed / 2);
    });
}

TEST_CASE("channel: what a user does not read is bounded, and comes when it does", "[channel]") {
    Connected pair;
    const std::size_t size = 1 * mib;
    const std::size_t frames = bytes_without_reader() / size + 20;
    pair.far_loops.on_user([&] {  // the reader is busy while far more is sent than may wait
        pair.near_loops.on_user([&] {
            for (std::size_t i = 0; i < frames; ++i)
                pair.near_channel->send(FrameType::pages, std::vector<std::uint8_t>(size));
        });
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        CHECK(pair.near_channel->queued_bytes() > 18 * size);
    });
    REQUIRE(pair.far.wait([&] { return pair.far.frames.size() == frames; }));
    REQUIRE(pair.near.wait([&] { return pair.near.drained; }));
}

}  // namespace fmvm::lockstep
