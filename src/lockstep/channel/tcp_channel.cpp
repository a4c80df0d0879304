// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/tcp_channel.h"

#include <utility>
#include <vector>

#include "lockstep/channel/connection.h"
#include "vmm/loop/task_scope.h"

namespace fmvm::lockstep {

namespace {

class TcpChannel : public Channel {
  public:
    TcpChannel(Transport transport, const ChannelThreads& threads)
        : peer_(transport.peer()),
          connection_(std::make_shared<Connection>(std::move(transport), threads)) {}
    ~TcpChannel() override { close(); }

    void start(ChannelUser& user) override {
        connection_->start({.frame_received = calls_.bind(
                                [&user](Frame frame) { user.frame_received(std::move(frame)); }),
                            .drained = calls_.bind([&user] { user.channel_drained(); }),
                            .lost = calls_.bind([this, &user](const std::string& reason) {
                                calls_.end();
                                user.channel_lost(reason);
                            })});
    }
    std::uint64_t send(FrameType type, GatheredBody body) override {
        const std::uint64_t digest = send_with_next(type, std::move(body));
        connection_->send(std::exchange(unsent_, {}));
        return digest;
    }
    std::uint64_t send_with_next(FrameType type, GatheredBody body) override {
        const std::uint64_t digest = body.digest();
        sent_ += counted_bytes(type, body.size());
        unsent_.push_back({type, std::move(body), digest});
        return digest;
    }
    void keep_alive(std::chrono::milliseconds interval, Heartbeat::Role role) override {
        connection_->keep_alive(Heartbeat(interval, role, std::chrono::steady_clock::now()));
    }
    std::chrono::steady_clock::time_point last_heard() const override {
        return connection_->last_heard();
    }
    std::size_t queued_bytes() const override { return connection_->queued_bytes(); }
    Traffic traffic() const override {
        return {.sent = sent_, .moved = connection_->moved_bytes()};
    }
    void close() override {
        calls_.end();
        connection_->close();
    }
    std::string peer() const override { return peer_; }

  private:
    const std::string peer_;
    const std::shared_ptr<Connection> connection_;
    std::vector<UnsentFrame> unsent_;
    std::uint64_t sent_ = 0;  // Traffic::sent
    TaskScope calls_;         // to the user
};

}  // namespace

std::unique_ptr<Channel> make_channel(Transport transport, const ChannelThreads& threads) {
    return std::make_unique<TcpChannel>(std::move(transport), threads);
}

}  // namespace fmvm::lockstep
