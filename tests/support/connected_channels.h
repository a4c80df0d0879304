// SPDX-License-Identifier: Apache-2.0
// Two channels over real TCP on the loopback: the two loops of each side run on threads of their
// own, as in fmvm.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "lockstep/channel/tcp_connect.h"
#include "lockstep/wire/messages.h"
#include "support/fake_lines.h"

namespace fmvm::test {

// Around what waits for wait_limit itself.
constexpr std::chrono::seconds channel_limit = 2 * wait_limit;

// A user's and a network loop with their threads.
class Loops {
  public:
    Loops()
        : user_work_(boost::asio::make_work_guard(user)),
          network_work_(boost::asio::make_work_guard(network)),
          user_thread_([this] { user.run(); }),
          network_thread_([this] { network.run(); }) {}
    ~Loops() {
        user.stop();
        user_thread_.join();
        network.stop();
        network_thread_.join();
    }
    lockstep::ChannelThreads threads() { return {user, network, stuck_after}; }
    void on_user(std::function<void()> task) {
        std::mutex mutex;
        std::condition_variable changed;
        bool done = false;
        boost::asio::post(user, [&] {
            task();
            const std::lock_guard lock(mutex);
            done = true;
            changed.notify_one();
        });
        std::unique_lock lock(mutex);
        REQUIRE(changed.wait_for(lock, channel_limit, [&] { return done; }));
    }

    boost::asio::io_context network{1};
    boost::asio::io_context user{1};
    std::chrono::milliseconds stuck_after{30000};

  private:
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> user_work_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> network_work_;
    std::thread user_thread_;
    std::thread network_thread_;
};

// Remembers what it was told.
class Recorder : public lockstep::ChannelUser {
  public:
    void frame_received(lockstep::Frame frame) override {
        change([&] { frames.push_back(std::move(frame)); });
    }
    void channel_drained() override {
        change([&] { drained = true; });
    }
    void channel_lost(const std::string& reason) override {
        change([&] { lost = reason; });
    }
    template <typename Condition>
    bool wait(Condition condition) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, channel_limit, condition);
    }

    std::vector<lockstep::Frame> frames;
    bool drained = false;
    std::string lost;

  private:
    template <typename Change>
    void change(Change change) {
        const std::lock_guard lock(mutex_);
        change();
        changed_.notify_all();
    }
    std::mutex mutex_;
    std::condition_variable changed_;
};

// Both ends of a connection, each with its loops; the accepted end is started, too.
struct Connected {
    Loops near_loops, far_loops;
    Recorder near, far;
    std::unique_ptr<lockstep::Listener> listener;
    std::unique_ptr<lockstep::Connector> connector;
    std::unique_ptr<lockstep::Channel> near_channel, far_channel;
    std::mutex mutex;
    std::condition_variable changed;

    // keys: null, in the clear.
    explicit Connected(std::chrono::milliseconds stuck_after = std::chrono::seconds(30),
                       const std::shared_ptr<lockstep::TlsKeyring>& keys = nullptr) {
        near_loops.stuck_after = stuck_after;
        far_loops.on_user([this, keys] {
            listener =
                lockstep::Listener::listen(far_loops.threads(), {"127.0.0.1", 0}, keys,
                                           {.channel =
                                                [this](std::unique_ptr<lockstep::Channel> channel) {
                                                    const std::lock_guard lock(mutex);
                                                    far_channel = std::move(channel);
                                                    far_channel->start(far);
                                                    changed.notify_all();
                                                },
                                            .join = [](const lockstep::Joiner&) {}})
                    .value();
        });
        const lockstep::Endpoint endpoint = listener->endpoint();
        near_loops.on_user([this, endpoint, keys] {
            connector = lockstep::Connector::connect(
                near_loops.threads(), endpoint, keys, 5000,
                [this](Result<std::unique_ptr<lockstep::Channel>> channel) {
                    const std::lock_guard lock(mutex);
                    near_channel = std::move(channel).value();
                    near_channel->start(near);
                    // The listener knows at once that this is to be a channel.
                    near_channel->send(lockstep::FrameType::heartbeat,
                                       lockstep::HeartbeatMessage{}.encode());
                    changed.notify_all();
                });
        });
        std::unique_lock lock(mutex);
        REQUIRE(
            changed.wait_for(lock, channel_limit, [this] { return near_channel && far_channel; }));
    }
    ~Connected() {
        near_loops.on_user([this] { near_channel.reset(), connector.reset(); });
        far_loops.on_user([this] { far_channel.reset(), listener.reset(); });
    }
};

}  // namespace fmvm::test
