// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/tcp_channel.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>

#include "base/digest.h"
#include "lockstep/wire/messages.h"
#include "support/connected_channels.h"

namespace fmvm::lockstep {

using test::Connected;
using test::Loops;

TEST_CASE("channel: frames arrive whole and in order, both ways", "[channel]") {
    Connected pair;
    pair.near_loops.on_user([&] {
        for (std::uint8_t i = 0; i < 100; ++i)
            pair.near_channel->send(FrameType::pages, std::vector<std::uint8_t>(i * 1000U, i));
    });
    pair.far_loops.on_user([&] { pair.far_channel->send(FrameType::ack, AckMessage{7}.encode()); });
    REQUIRE(pair.far.wait([&] { return pair.far.frames.size() == 100; }));
    for (std::size_t i = 0; i < 100; ++i) {
        CHECK(pair.far.frames[i].body.size() == i * 1000);
        CHECK((i == 0 || pair.far.frames[i].body.back() == i));
    }
    REQUIRE(pair.near.wait([&] { return pair.near.frames.size() == 1; }));
    CHECK(AckMessage::decode(pair.near.frames[0].body).value().epoch == 7);
}

TEST_CASE("channel: what is to leave with the next frame does, and before it", "[channel]") {
    Connected pair;
    pair.near_loops.on_user([&] {
        CHECK(pair.near_channel->send_with_next(FrameType::state, std::vector<std::uint8_t>{1}) ==
              digest_of(std::vector<std::uint8_t>{1}));
        pair.near_channel->send_with_next(FrameType::output, std::vector<std::uint8_t>{2});
        CHECK(pair.near_channel->queued_bytes() == 0);
        pair.near_channel->send(FrameType::commit, std::vector<std::uint8_t>{3});
    });
    REQUIRE(pair.far.wait([&] { return pair.far.frames.size() == 3; }));
    for (std::uint8_t i = 0; i < 3; ++i)
        CHECK(pair.far.frames[i].body[0] == i + 1);
}

TEST_CASE("channel: what a body refers to is released on the user's thread", "[channel]") {
    Connected pair;
    const std::vector<std::uint8_t> page(4096, 0x5a);
    std::atomic<int> released{0};
    std::atomic<bool> elsewhere{false};
    std::thread::id user_thread;
    pair.near_loops.on_user([&] { user_thread = std::this_thread::get_id(); });
    const auto send = [&] {
        GatheredBody body(std::vector<std::uint8_t>{1, 2, 3});
        for (int i = 0; i < 200; ++i) {  // more pieces than one system call takes
            body.refer(page);
            body.own().push_back(4);
        }
        body.keep(std::shared_ptr<const void>(&page, [&](const void*) {
            if (std::this_thread::get_id() != user_thread) elsewhere = true;
            ++released;
        }));
        const std::uint64_t digest = body.digest();
        CHECK(pair.near_channel->send(FrameType::pages, std::move(body)) == digest);
    };
    constexpr int frames = 20;
    pair.near_loops.on_user([&] {
        for (int i = 0; i < frames; ++i)
            send();
    });
    const auto all_released = [&](int count) {
        for (const auto until = std::chrono::steady_clock::now() + test::channel_limit;
             released != count && std::chrono::steady_clock::now() < until;)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return released == count;
    };
    SECTION("after it was sent") {
        REQUIRE(pair.far.wait([&] { return pair.far.frames.size() == frames; }));
        CHECK(pair.far.frames.back().body.size() == 3 + 200 * 4097);
        CHECK(all_released(frames));
    }
    SECTION("and when it cannot be sent any more") {
        pair.far_loops.on_user([&] { pair.far_channel.reset(); });
        REQUIRE(pair.near.wait([&] { return !pair.near.lost.empty(); }));
        pair.near_loops.on_user(send);
        CHECK(all_released(frames + 1));
    }
    CHECK_FALSE(elsewhere);
}

TEST_CASE("channel: a busy user does not silence it", "[channel]") {
    Connected pair;
    pair.near_loops.on_user([&] {
        pair.near_channel->keep_alive(std::chrono::milliseconds(2), Heartbeat::Role::leads);
        // Busy: nothing of this loop runs meanwhile.
        auto heard = pair.far_channel->last_heard();
        for (int i = 0; i < 3; ++i) {
            CHECK(test::eventually([&] { return pair.far_channel->last_heard() != heard; }));
            heard = pair.far_channel->last_heard();
        }
    });
    // The far user was not woken for it.
    pair.near_loops.on_user(
        [&] { pair.near_channel->send(FrameType::heartbeat, HeartbeatMessage{7}.encode()); });
    REQUIRE(pair.far.wait([&] { return !pair.far.frames.empty(); }));
    CHECK(HeartbeatMessage::decode(pair.far.frames[0].body).value().output_shown == 7);
    pair.near_loops.on_user([&] { pair.near_channel->send(FrameType::heartbeat, {}); });
    REQUIRE(pair.far.wait([&] { return pair.far.frames.size() == 2; }));  // malformed: its affair
}

TEST_CASE("channel: a user that does not come back at all does silence it", "[channel]") {
    constexpr std::chrono::milliseconds stuck_after(100);
    Connected pair(stuck_after);
    pair.near_loops.on_user([&] {
        pair.near_channel->keep_alive(std::chrono::milliseconds(2), Heartbeat::Role::leads);
        CHECK(test::eventually([&] {
            const auto heard = pair.far_channel->last_heard();
            std::this_thread::sleep_for(stuck_after);
            return pair.far_channel->last_heard() == heard;
        }));
    });
    // It is back, and so are the signs of life.
    const auto heard = pair.far_channel->last_heard();
    CHECK(test::eventually([&] { return pair.far_channel->last_heard() != heard; }));
}

TEST_CASE("channel: one side leads, the other answers; nobody is silent", "[channel]") {
    Connected pair;
    constexpr std::chrono::milliseconds interval(4);
    pair.near_loops.on_user(
        [&] { pair.near_channel->keep_alive(interval, Heartbeat::Role::answers); });
    // While the leading side has not begun, the other one does.
    auto heard = pair.far_channel->last_heard();
    CHECK(test::eventually([&] { return pair.far_channel->last_heard() != heard; }));
    pair.far_loops.on_user([&] { pair.far_channel->keep_alive(interval, Heartbeat::Role::leads); });
    for (int i = 0; i < 5; ++i) {
        const auto near_heard = pair.near_channel->last_heard();
        const auto far_heard = pair.far_channel->last_heard();
        CHECK(test::eventually([&] {
            return pair.near_channel->last_heard() != near_heard &&
                   pair.far_channel->last_heard() != far_heard;
        }));
    }
}

TEST_CASE("channel: the end of one side is the loss of the other", "[channel]") {
    Connected pair;
    pair.near_loops.on_user([&] {
        pair.near_channel->send(FrameType::ended, EndedMessage{"done"}.encode());
        pair.near_channel->close();
    });
    REQUIRE(pair.far.wait([&] { return !pair.far.lost.empty(); }));
    REQUIRE(pair.far.frames.size() == 1);  // what was sent before still came
    CHECK(pair.far.lost == "the peer closed the connection");
    CHECK(pair.near.lost.empty());
}

// Writing to it fails before what it said is read, as often as not.
TEST_CASE("channel: what a side says last is heard while it is written to", "[channel]") {
    for (int round = 0; round < 30; ++round) {
        Connected pair;
        std::atomic<bool> gone = false;
        boost::asio::post(pair.near_loops.network, [&] {
            while (!gone)
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
        });
        pair.near_loops.on_user([&] {
            for (int i = 0; i < 50; ++i)
                pair.near_channel->send(FrameType::ack, AckMessage{1}.encode());
        });
        pair.far_loops.on_user([&] {
            pair.far_channel->send(FrameType::ended, EndedMessage{"done"}.encode());
            pair.far_channel->close();
        });
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        gone = true;
        REQUIRE(pair.near.wait([&] { return !pair.near.lost.empty(); }));
        REQUIRE(pair.near.frames.size() == 1);
    }
}

TEST_CASE("channel: a stranger that sends garbage is a loss", "[channel]") {
    Connected pair;
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(pair.listener->endpoint().port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    // It replaces the accepted end of the pair.
    REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    const std::string garbage(100, 'x');
    REQUIRE(::write(fd, garbage.data(), garbage.size()) == 100);
    REQUIRE(pair.far.wait([&] { return pair.far.lost == "it does not speak fmvm's protocol"; }));
    ::close(fd);
}

TEST_CASE("channel: nobody listens", "[channel]") {
    Loops loops;
    std::unique_ptr<Connector> connector;
    std::mutex mutex;
    std::condition_variable changed;
    std::string error;
    loops.on_user([&] {
        connector = Connector::connect(loops.threads(), {"127.0.0.1", 1}, nullptr, 5000,
                                       [&](Result<std::unique_ptr<Channel>> channel) {
                                           const std::lock_guard lock(mutex);
                                           error = channel.error().message();
                                           changed.notify_all();
                                       });
    });
    {
        std::unique_lock lock(mutex);
        REQUIRE(changed.wait_for(lock, test::channel_limit, [&] { return !error.empty(); }));
    }
    CHECK(error == "Connection refused");
    loops.on_user([&] { connector.reset(); });
}

}  // namespace fmvm::lockstep
