// SPDX-License-Identifier: Apache-2.0
#include "lockstep/asio_channel.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <deque>

namespace fmvm::lockstep {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;

namespace {

constexpr std::chrono::milliseconds linger_max{200};
constexpr std::size_t gather_max = 32;  // frames per system call

Tcp::endpoint to_asio(const Endpoint& endpoint) {
    return {asio::ip::make_address(endpoint.address), endpoint.port};
}

// Lives until its last operation has ended, whatever its owner does.
class Connection : public std::enable_shared_from_this<Connection> {
  public:
    explicit Connection(Tcp::socket socket)
        : socket_(std::move(socket)), timer_(socket_.get_executor()) {
        ErrorCode ignored;
        socket_.set_option(Tcp::no_delay(true), ignored);
        const auto remote = socket_.remote_endpoint(ignored);
        peer_ = Endpoint{remote.address().to_string(), remote.port()}.text();
    }

    void start(ChannelUser& user) {
        user_ = &user;
        receive();
    }

    std::uint64_t send(FrameType type, std::vector<std::uint8_t> body) {
        const std::uint64_t digest = body_digest(body);
        if (lost_ || closing_) return digest;
        queued_ += frame_header_size + body.size();
        const FrameHeader header = make_frame_header(type, next_sequence_++, body, digest);
        queue_.push_back({header, std::move(body)});
        if (!writing_) write();
        return digest;
    }

    void close() {
        user_ = nullptr;
        if (lost_ || closing_) return;
        closing_ = true;
        if (!writing_) {
            shut();
            return;
        }
        timer_.expires_after(linger_max);
        timer_.async_wait([self = shared_from_this()](const ErrorCode&) { self->shut(); });
    }

    std::size_t queued_bytes() const { return queued_; }
    const std::string& peer() const { return peer_; }

  private:
    struct Outgoing {
        FrameHeader header;
        std::vector<std::uint8_t> body;
    };

    void shut() {
        ErrorCode ignored;
        socket_.shutdown(Tcp::socket::shutdown_both, ignored);
        socket_.close(ignored);
        timer_.cancel();
        lost_ = true;
    }

    void lose(const std::string& reason) {
        if (lost_) return;
        shut();
        if (user_ != nullptr) std::exchange(user_, nullptr)->channel_lost(reason);
    }

    void lose(const ErrorCode& error) {
        const bool ended = error == asio::error::eof || error == asio::error::connection_reset;
        lose(ended ? "the peer closed the connection" : error.message());
    }

    void write() {
        writing_ = true;
        std::vector<asio::const_buffer> buffers;
        in_flight_ = 0;
        for (const Outgoing& frame : queue_) {
            if (in_flight_ == gather_max) break;
            buffers.emplace_back(asio::buffer(frame.header));
            if (!frame.body.empty()) buffers.emplace_back(asio::buffer(frame.body));
            ++in_flight_;
        }
        asio::async_write(socket_, buffers,
                          [self = shared_from_this()](const ErrorCode& error, std::size_t) {
                              self->written(error);
                          });
    }

    void written(const ErrorCode& error) {
        writing_ = false;
        if (error) {
            lose(error);
            return;
        }
        const bool was_above = queued_ > channel_low_water;
        for (; in_flight_ != 0; --in_flight_) {
            queued_ -= frame_header_size + queue_.front().body.size();
            queue_.pop_front();
        }
        if (!queue_.empty()) {
            write();
        } else if (closing_) {
            shut();
            return;
        }
        if (was_above && queued_ <= channel_low_water && user_ != nullptr) user_->channel_drained();
    }

    void receive() {
        if (lost_ || user_ == nullptr) return;
        // Bodies are read into place; headers and what follows them through a small buffer would
        // cost a copy for little, because frames are large where it matters.
        const std::span<std::uint8_t> space = decoder_.space();
        socket_.async_read_some(
            asio::buffer(space.data(), space.size()),
            [self = shared_from_this()](const ErrorCode& error, std::size_t count) {
                self->received(error, count);
            });
    }

    void received(const ErrorCode& error, std::size_t count) {
        if (user_ == nullptr) return;
        if (error) {
            lose(error);
            return;
        }
        Result<std::optional<Frame>> frame = decoder_.received(count);
        if (!frame.ok()) {
            lose(frame.error().message());
            return;
        }
        user_->bytes_received();
        if (user_ != nullptr && frame->has_value()) user_->frame_received(std::move(**frame));
        receive();
    }

    Tcp::socket socket_;
    asio::steady_timer timer_;
    ChannelUser* user_ = nullptr;
    std::string peer_;
    FrameDecoder decoder_;
    std::deque<Outgoing> queue_;
    std::size_t queued_ = 0;
    std::size_t in_flight_ = 0;  // frames of the queue that are being written
    std::uint64_t next_sequence_ = 0;
    bool writing_ = false;
    bool closing_ = false;
    bool lost_ = false;
};

class AsioChannel : public Channel {
  public:
    explicit AsioChannel(Tcp::socket socket)
        : connection_(std::make_shared<Connection>(std::move(socket))) {}
    ~AsioChannel() override { connection_->close(); }
    void start(ChannelUser& user) override { connection_->start(user); }
    std::uint64_t send(FrameType type, std::vector<std::uint8_t> body) override {
        return connection_->send(type, std::move(body));
    }
    std::size_t queued_bytes() const override { return connection_->queued_bytes(); }
    void close() override { connection_->close(); }
    std::string peer() const override { return connection_->peer(); }

  private:
    std::shared_ptr<Connection> connection_;
};

class ConnectAttempt : public std::enable_shared_from_this<ConnectAttempt> {
  public:
    ConnectAttempt(asio::io_context& context, Connector::Handler handler)
        : socket_(context), timer_(context), handler_(std::move(handler)) {}

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
        if (error) {
            socket_.close(ignored);
            handler(Error(error.message()));
        } else {
            handler(std::unique_ptr<Channel>(std::make_unique<AsioChannel>(std::move(socket_))));
        }
    }

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
    AsioListener(asio::io_context& context, Handler handler)
        : state_(std::make_shared<State>(State{Tcp::acceptor(context), std::move(handler)})) {}
    ~AsioListener() override {
        state_->handler = nullptr;
        ErrorCode ignored;
        state_->acceptor.close(ignored);
    }

    Result<void> open(const Endpoint& endpoint) {
        const Tcp::endpoint local = to_asio(endpoint);
        ErrorCode error;
        state_->acceptor.open(local.protocol(), error);
        if (!error) state_->acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
        if (!error) state_->acceptor.bind(local, error);
        if (!error) state_->acceptor.listen(8, error);
        if (error) return make_error("cannot listen on {}: {}", endpoint.text(), error.message());
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
        Tcp::acceptor acceptor;
        Handler handler;
    };

    static void accept(const std::shared_ptr<State>& state) {
        state->acceptor.async_accept([state](const ErrorCode& error, Tcp::socket socket) {
            if (!state->handler) return;
            if (!error) state->handler(std::make_unique<AsioChannel>(std::move(socket)));
            // Out of descriptors, or a peer that went away: no reason to stop listening.
            if (state->acceptor.is_open()) accept(state);
        });
    }

    std::shared_ptr<State> state_;
};

}  // namespace

std::string Endpoint::text() const {
    const bool v6 = address.find(':') != std::string::npos;
    return v6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

bool Endpoint::is_loopback() const {
    ErrorCode error;
    const auto parsed = asio::ip::make_address(address, error);
    return !error && parsed.is_loopback();
}

Result<Endpoint> Endpoint::parse(const std::string& text) {
    const std::size_t colon = text.rfind(':');
    Endpoint endpoint;
    const char* const end = text.data() + text.size();
    bool good = colon != std::string::npos && colon != 0;
    if (good) {
        const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, endpoint.port);
        good = error == std::errc() && rest == end;
        endpoint.address = text.substr(0, colon);
        if (endpoint.address.size() > 2 && endpoint.address.front() == '[' &&
            endpoint.address.back() == ']') {
            endpoint.address = endpoint.address.substr(1, endpoint.address.size() - 2);
        }
    }
    ErrorCode error;
    if (good) asio::ip::make_address(endpoint.address, error);
    if (!good || error)
        return make_error("'{}' is not ADDRESS:PORT, such as 127.0.0.1:7000 or [::1]:7000", text);
    return endpoint;
}

std::unique_ptr<Connector> Connector::connect(asio::io_context& context, const Endpoint& endpoint,
                                              unsigned limit_ms, Handler handler) {
    auto attempt = std::make_shared<ConnectAttempt>(context, std::move(handler));
    attempt->begin(endpoint, limit_ms);
    return std::make_unique<AsioConnector>(std::move(attempt));
}

Result<std::unique_ptr<Listener>> Listener::listen(asio::io_context& context,
                                                   const Endpoint& endpoint, Handler handler) {
    auto listener = std::make_unique<AsioListener>(context, std::move(handler));
    FMVM_TRY(listener->open(endpoint));
    return std::unique_ptr<Listener>(std::move(listener));
}

}  // namespace fmvm::lockstep
