// SPDX-License-Identifier: Apache-2.0
#include <boost/asio/steady_timer.hpp>

#include "lockstep/channel/asio_socket.h"

namespace fmvm::lockstep {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;

namespace {

constexpr std::chrono::milliseconds accept_again{100};

Tcp::endpoint to_asio(const Endpoint& endpoint) {
    return {asio::ip::make_address(endpoint.address), endpoint.port};
}

class ConnectAttempt : public std::enable_shared_from_this<ConnectAttempt> {
  public:
    ConnectAttempt(const ChannelThreads& threads, Connector::Handler handler)
        : threads_(threads),
          socket_(threads.user),
          timer_(threads.user),
          handler_(std::move(handler)) {}

    void begin(const Endpoint& endpoint, unsigned limit_ms) {
        timer_.expires_after(std::chrono::milliseconds(limit_ms));
        timer_.async_wait([self = shared_from_this()](const ErrorCode& error) {
            if (!error) self->finish(asio::error::timed_out);
        });
        socket_.async_connect(
            to_asio(endpoint),
            [self = shared_from_this()](const ErrorCode& error) { self->finish(error); });
    }

    void abandon() {
        handler_ = nullptr;
        ErrorCode ignored;
        socket_.close(ignored);
        timer_.cancel();
    }

  private:
    void finish(const ErrorCode& error) {
        if (!handler_) return;
        const Connector::Handler handler = std::exchange(handler_, nullptr);
        ErrorCode ignored;
        timer_.cancel();
        Result<std::unique_ptr<Channel>> channel =
            make_channel(std::move(socket_), threads_, error);
        socket_.close(ignored);
        handler(std::move(channel));
    }

    const ChannelThreads threads_;
    Tcp::socket socket_;
    asio::steady_timer timer_;
    Connector::Handler handler_;
};

// What the caller holds; the attempt itself lives until its handlers have run.
class AsioConnector : public Connector {
  public:
    explicit AsioConnector(std::shared_ptr<ConnectAttempt> attempt)
        : attempt_(std::move(attempt)) {}
    ~AsioConnector() override { attempt_->abandon(); }

  private:
    std::shared_ptr<ConnectAttempt> attempt_;
};

class AsioListener : public Listener {
  public:
    AsioListener(const ChannelThreads& threads, Handler handler)
        : state_(std::make_shared<State>(State{threads, Tcp::acceptor(threads.user),
                                               asio::steady_timer(threads.user),
                                               std::move(handler)})) {}
    ~AsioListener() override {
        state_->handler = nullptr;
        ErrorCode ignored;
        state_->acceptor.close(ignored);
        state_->pause.cancel();
    }

    Result<void> open(const Endpoint& endpoint) {
        const Tcp::endpoint local = to_asio(endpoint);
        ErrorCode error;
        state_->acceptor.open(local.protocol(), error);
        if (!error) state_->acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
        if (!error) state_->acceptor.bind(local, error);
        if (!error) state_->acceptor.listen(8, error);
        if (error) {
            return make_error(
                "cannot listen on {}: {}; give --listen an address of this host and a "
                "port that nobody uses",
                endpoint.text(), error.message());
        }
        accept(state_);
        return {};
    }

    Endpoint endpoint() const override {
        ErrorCode ignored;
        const auto local = state_->acceptor.local_endpoint(ignored);
        return {local.address().to_string(), local.port()};
    }

  private:
    struct State {
        ChannelThreads threads;
        Tcp::acceptor acceptor;
        asio::steady_timer pause;
        Handler handler;
    };

    static void accept(const std::shared_ptr<State>& state) {
        state->acceptor.async_accept([state](const ErrorCode& error, Tcp::socket socket) {
            if (!state->handler) return;
            Result<std::unique_ptr<Channel>> channel =
                make_channel(std::move(socket), state->threads, error);
            if (channel.ok()) state->handler(std::move(channel).value());
            if (!state->acceptor.is_open()) return;
            if (!error) {
                accept(state);
                return;
            }
            // Out of descriptors, say: no reason to stop listening, nor to try without a pause.
            state->pause.expires_after(accept_again);
            state->pause.async_wait([state](const ErrorCode&) {
                if (state->acceptor.is_open()) accept(state);
            });
        });
    }

    std::shared_ptr<State> state_;
};

}  // namespace

std::unique_ptr<Connector> Connector::connect(const ChannelThreads& threads,
                                              const Endpoint& endpoint, unsigned limit_ms,
                                              Handler handler) {
    auto attempt = std::make_shared<ConnectAttempt>(threads, std::move(handler));
    attempt->begin(endpoint, limit_ms);
    return std::make_unique<AsioConnector>(std::move(attempt));
}

Result<std::unique_ptr<Listener>> Listener::listen(const ChannelThreads& threads,
                                                   const Endpoint& endpoint, Handler handler) {
    auto listener = std::make_unique<AsioListener>(threads, std::move(handler));
    FMVM_TRY(listener->open(endpoint));
    return std::unique_ptr<Listener>(std::move(listener));
}

}  // namespace fmvm::lockstep
