// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/tcp_connect.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>
#include <utility>

#include "lockstep/channel/first_looks.h"
#include "lockstep/channel/handshake.h"
#include "lockstep/channel/tcp_channel.h"
#include "lockstep/channel/tls_door.h"
#include "vmm/loop/task_scope.h"

namespace fmvm::lockstep {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;

namespace {

constexpr std::chrono::milliseconds accept_again{100};
constexpr int backlog = 64;

Tcp::endpoint to_asio(const Endpoint& endpoint) {
    return {asio::ip::make_address(endpoint.address), endpoint.port};
}

class TcpConnector : public Connector {
  public:
    TcpConnector(const ChannelThreads& threads, std::shared_ptr<TlsKeyring> keys, Handler handler)
        : threads_(threads),
          keys_(std::move(keys)),
          handler_(std::move(handler)),
          socket_(threads.user),
          timer_(threads.user) {}

    void begin(const Endpoint& endpoint, unsigned limit_ms) {
        limit_ = std::chrono::milliseconds(limit_ms);
        timer_.expires_after(limit_);
        timer_.async_wait(connecting_.bind([this](const ErrorCode& error) {
            if (!error) connected(asio::error::timed_out);
        }));
        socket_.async_connect(to_asio(endpoint), connecting_.bind([this](const ErrorCode& error) {
            connected(error);
        }));
    }

  private:
    void connected(const ErrorCode& error) {
        connecting_.end();  // whichever of the two comes second
        timer_.cancel();
        Tcp::socket socket = std::move(socket_);
        if (error) return finish(Error(error.message()));
        Result<Transport> transport =
            Transport::over(std::move(socket), keys_, TlsSession::Role::client);
        if (!transport.ok()) return finish(transport.error());
        handshake_.emplace(threads_.user.get_executor(), std::move(transport).value(), limit_,
                           [this](Result<Transport> result) { finish(std::move(result)); });
    }
    void finish(Result<Transport> transport) {
        const Handler handler = std::exchange(handler_, nullptr);
        if (!transport.ok()) return handler(transport.error());
        handler(make_channel(std::move(transport).value(), threads_));
    }

    const ChannelThreads threads_;
    const std::shared_ptr<TlsKeyring> keys_;
    Handler handler_;
    std::chrono::milliseconds limit_{0};
    Tcp::socket socket_;
    asio::steady_timer timer_;
    std::optional<Handshake> handshake_;
    TaskScope connecting_;  // last: its tasks use the rest
};

class TcpListener : public Listener {
  public:
    TcpListener(const ChannelThreads& threads, std::shared_ptr<TlsKeyring> keys, Handlers handlers)
        : threads_(threads),
          keys_(std::move(keys)),
          handlers_(std::move(handlers)),
          looks_(threads.user,
                 {.channel =
                      [this](Transport transport) {
                          handlers_.channel(make_channel(std::move(transport), threads_));
                      },
                  .join = handlers_.join}),
          door_(keys_ ? make_door() : nullptr),
          acceptor_(door_ ? door_->loop() : threads.user),
          pause_(acceptor_.get_executor()) {}
    ~TcpListener() override {
        if (door_) door_->close();
    }

    Result<void> open(const Endpoint& endpoint) {
        const Tcp::endpoint local = to_asio(endpoint);
        ErrorCode error;
        acceptor_.open(local.protocol(), error);
        if (!error) acceptor_.set_option(Tcp::acceptor::reuse_address(true), error);
        if (!error) acceptor_.bind(local, error);
        if (!error) acceptor_.listen(backlog, error);
        const auto bound = error ? Tcp::endpoint() : acceptor_.local_endpoint(error);
        if (error) {
            return make_error(
                "cannot listen on {}: {}; give --listen an address of this host and a "
                "port that nobody uses",
                endpoint.text(), error.message());
        }
        endpoint_ = {bound.address().to_string(), bound.port()};
        asio::post(acceptor_.get_executor(), tasks_.bind([this] { accept(); }));
        return {};
    }

    Endpoint endpoint() const override { return endpoint_; }

  private:
    std::unique_ptr<TlsDoor> make_door() {
        return std::make_unique<TlsDoor>(
            threads_.user, [this](Transport transport) { looks_.add(std::move(transport)); });
    }

    void accept() {
        acceptor_.async_accept(tasks_.bind([this](const ErrorCode& error, Tcp::socket socket) {
            if (error) return accept_later();
            accepted(std::move(socket));
            accept();
        }));
    }

    void accepted(Tcp::socket socket) {
        Result<Transport> transport =
            Transport::over(std::move(socket), keys_, TlsSession::Role::server);
        if (!transport.ok()) return;  // he is gone again
        if (door_) return door_->add(std::move(transport).value());
        looks_.add(std::move(transport).value());
    }

    // Out of descriptors, say: no reason to stop listening, nor to try again without a pause.
    void accept_later() {
        pause_.expires_after(accept_again);
        pause_.async_wait(tasks_.bind([this](const ErrorCode&) { accept(); }));
    }

    const ChannelThreads threads_;
    const std::shared_ptr<TlsKeyring> keys_;
    const Handlers handlers_;
    Endpoint endpoint_;
    FirstLooks looks_;
    const std::unique_ptr<TlsDoor> door_;  // null: in the clear
    Tcp::acceptor acceptor_;               // on the door's loop, or on the user's
    asio::steady_timer pause_;
    TaskScope tasks_;  // last: its tasks use the rest
};

}  // namespace

std::unique_ptr<Connector> Connector::connect(const ChannelThreads& threads,
                                              const Endpoint& endpoint,
                                              std::shared_ptr<TlsKeyring> keys, unsigned limit_ms,
                                              Handler handler) {
    auto connector = std::make_unique<TcpConnector>(threads, std::move(keys), std::move(handler));
    connector->begin(endpoint, limit_ms);
    return connector;
}

Result<std::unique_ptr<Listener>> Listener::listen(const ChannelThreads& threads,
                                                   const Endpoint& endpoint,
                                                   std::shared_ptr<TlsKeyring> keys,
                                                   Handlers handlers) {
    auto listener = std::make_unique<TcpListener>(threads, std::move(keys), std::move(handlers));
    FMVM_TRY(listener->open(endpoint));
    return std::unique_ptr<Listener>(std::move(listener));
}

}  // namespace fmvm::lockstep
