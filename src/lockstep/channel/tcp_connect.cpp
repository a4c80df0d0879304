// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/tcp_connect.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "lockstep/channel/first_looks.h"
#include "lockstep/channel/tcp_channel.h"
#include "vmm/loop/task_scope.h"

namespace fmvm::lockstep {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;

namespace {

constexpr std::chrono::milliseconds accept_again{100};
constexpr int backlog = 8;

Tcp::endpoint to_asio(const Endpoint& endpoint) {
    return {asio::ip::make_address(endpoint.address), endpoint.port};
}

class TcpConnector : public Connector {
  public:
    TcpConnector(const ChannelThreads& threads, Handler handler)
        : threads_(threads),
          handler_(std::move(handler)),
          socket_(threads.user),
          timer_(threads.user) {}

    void begin(const Endpoint& endpoint, unsigned limit_ms) {
        timer_.expires_after(std::chrono::milliseconds(limit_ms));
        timer_.async_wait(tasks_.bind([this](const ErrorCode& error) {
            if (!error) finish(asio::error::timed_out);
        }));
        socket_.async_connect(to_asio(endpoint),
                              tasks_.bind([this](const ErrorCode& error) { finish(error); }));
    }

  private:
    void finish(const ErrorCode& error) {
        tasks_.end();  // whichever of the two comes second
        timer_.cancel();
        const Handler handler = std::exchange(handler_, nullptr);
        Tcp::socket socket = std::move(socket_);
        if (error) return handler(Error(error.message()));
        handler(make_channel(std::move(socket), threads_));
    }

    const ChannelThreads threads_;
    Handler handler_;
    Tcp::socket socket_;
    asio::steady_timer timer_;
    TaskScope tasks_;  // last: its tasks use the rest
};

class TcpListener : public Listener {
  public:
    TcpListener(const ChannelThreads& threads, Handlers handlers)
        : threads_(threads),
          handlers_(std::move(handlers)),
          acceptor_(threads.user),
          pause_(threads.user),
          looks_({.channel = [this](Tcp::socket socket) { found_channel(std::move(socket)); },
                  .join = handlers_.join}) {}

    Result<void> open(const Endpoint& endpoint) {
        const Tcp::endpoint local = to_asio(endpoint);
        ErrorCode error;
        acceptor_.open(local.protocol(), error);
        if (!error) acceptor_.set_option(Tcp::acceptor::reuse_address(true), error);
        if (!error) acceptor_.bind(local, error);
        if (!error) acceptor_.listen(backlog, error);
        if (error) {
            return make_error(
                "cannot listen on {}: {}; give --listen an address of this host and a "
                "port that nobody uses",
                endpoint.text(), error.message());
        }
        accept();
        return {};
    }

    Endpoint endpoint() const override {
        ErrorCode ignored;
        const auto local = acceptor_.local_endpoint(ignored);
        return {local.address().to_string(), local.port()};
    }

  private:
    void accept() {
        acceptor_.async_accept(tasks_.bind([this](const ErrorCode& error, Tcp::socket socket) {
            if (error) return accept_later();
            looks_.add(std::move(socket));
            accept();
        }));
    }

    void found_channel(Tcp::socket socket) {
        Result<std::unique_ptr<Channel>> channel = make_channel(std::move(socket), threads_);
        if (channel.ok()) handlers_.channel(std::move(channel).value());
    }

    // Out of descriptors, say: no reason to stop listening, nor to try again without a pause.
    void accept_later() {
        pause_.expires_after(accept_again);
        pause_.async_wait(tasks_.bind([this](const ErrorCode&) { accept(); }));
    }

    const ChannelThreads threads_;
    const Handlers handlers_;
    Tcp::acceptor acceptor_;
    asio::steady_timer pause_;
    FirstLooks looks_;
    TaskScope tasks_;  // last: its tasks use the rest
};

}  // namespace

std::unique_ptr<Connector> Connector::connect(const ChannelThreads& threads,
                                              const Endpoint& endpoint, unsigned limit_ms,
                                              Handler handler) {
    auto connector = std::make_unique<TcpConnector>(threads, std::move(handler));
    connector->begin(endpoint, limit_ms);
    return connector;
}

Result<std::unique_ptr<Listener>> Listener::listen(const ChannelThreads& threads,
                                                   const Endpoint& endpoint, Handlers handlers) {
    auto listener = std::make_unique<TcpListener>(threads, std::move(handlers));
    FMVM_TRY(listener->open(endpoint));
    return std::unique_ptr<Listener>(std::move(listener));
}

}  // namespace fmvm::lockstep
