// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/asio_socket.h"

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <deque>

#include "base/digest.h"
#include "base/thread_priority.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::chrono::milliseconds linger_max{200};
constexpr std::size_t gather_max = 32;  // frames per system call
constexpr std::size_t unread_bytes_max = 32 * mib;
constexpr std::size_t unread_frame_cost = 512;  // so that many small ones count, too

// What passes within a heartbeat's interval: from here on it is bulk.
constexpr std::size_t bulk_bytes = 1 * mib;
constexpr unsigned quiet_intervals_min = 16;  // epochs leave gaps in bulk
constexpr int urgent_niceness = -15;

// This network thread, whichever connection asks.
void set_urgent(bool urgent) {
    static thread_local const int usual = niceness_of(0);
    static thread_local bool is_urgent = false;
    if (urgent == is_urgent) return;
    is_urgent = urgent;
    set_niceness(0, urgent ? std::min(usual, urgent_niceness) : usual);
}

// Where the user of a channel is told things: its own thread, and only while it wants to be.
struct Subscriber {
    explicit Subscriber(asio::io_context& user_context) : context(user_context) {}
    asio::io_context& context;
    ChannelUser* user = nullptr;  // the user's thread only
};

// A frame that has no place in the sequence yet.
struct Unsent {
    FrameType type;
    GatheredBody body;
    std::uint64_t digest;
};

// The connection itself. Lives on the network thread, until its last operation has ended.
class Connection : public std::enable_shared_from_this<Connection> {
  public:
    Connection(Tcp::socket socket, std::shared_ptr<Subscriber> subscriber,
               std::chrono::milliseconds stuck_after)
        : socket_(std::move(socket)),
          closing_timer_(socket_.get_executor()),
          heartbeat_timer_(socket_.get_executor()),
          subscriber_(std::move(subscriber)),
          stuck_after_(stuck_after) {
        ErrorCode ignored;
        socket_.set_option(Tcp::no_delay(true), ignored);
        const auto remote = socket_.remote_endpoint(ignored);
        peer_ = Endpoint{remote.address().to_string(), remote.port()}.text();
    }

    // Any thread.
    const std::string& peer() const { return peer_; }
    std::size_t queued_bytes() const { return queued_; }
    Clock::time_point last_heard() const { return heard_; }
    template <typename Task>
    void post(Task task) {
        asio::post(socket_.get_executor(), [self = shared_from_this(), task] { task(*self); });
    }
    // One wake-up for all of them.
    void send(std::vector<Unsent> frames) {
        for (const Unsent& frame : frames)
            queued_ += frame_header_size + frame.body.size();
        asio::post(socket_.get_executor(),
                   [self = shared_from_this(), frames = std::move(frames)]() mutable {
                       for (Unsent& frame : frames)
                           self->enqueue(std::move(frame));
                       if (!self->writing_ && !self->queue_.empty()) self->write();
                   });
    }

    // Network thread, as all that follows.
    void receive() {
        if (lost_) return;
        // In this order: a user that has read everything by now will not wake us.
        paused_ = true;
        if (unread_ > unread_bytes_max) return;
        paused_ = false;
        const std::span<std::uint8_t> space = decoder_.space();
        socket_.async_read_some(
            asio::buffer(space.data(), space.size()),
            [self = shared_from_this()](const ErrorCode& error, std::size_t count) {
                self->received(error, count);
            });
    }

    void keep_alive(const Heartbeat& heartbeat) {
        heartbeat_ = heartbeat;
        watch_heartbeat();
    }

    void close() {
        if (lost_ || closing_) return;
        closing_ = true;
        if (!writing_) {
            shut();
            return;
        }
        closing_timer_.expires_after(linger_max);
        closing_timer_.async_wait([self = shared_from_this()](const ErrorCode&) { self->shut(); });
    }

  private:
    struct Outgoing {
        FrameHeader header;
        GatheredBody body;
    };

    // Tells the user, on its thread, unless it has closed the channel by then.
    template <typename Tell>
    void tell(Tell tell) {
        asio::post(subscriber_->context, [subscriber = subscriber_, tell]() mutable {
            if (subscriber->user != nullptr) tell(*subscriber);
        });
    }

    void enqueue(Unsent frame) {
        if (lost_ || closing_ || broken_) {
            release(std::move(frame.body));
            return;
        }
        const FrameHeader header =
            make_frame_header(frame.type, next_sequence_++, frame.body.size(), frame.digest);
        queue_.push_back({header, std::move(frame.body)});
    }

    // On the user's thread, where what it refers to belongs.
    void release(GatheredBody body) {
        if (body.refers()) asio::post(subscriber_->context, [body = std::move(body)] {});
    }

    // From this thread, which does nothing that takes long: a large epoch or a slow cut does not
    // look like a death.
    void send_heartbeat() {
        if (lost_ || closing_ || broken_ || writing_ || user_is_stuck()) return;
        const std::vector<std::uint8_t> body = HeartbeatMessage{}.encode();
        queued_ += frame_header_size + body.size();
        enqueue({FrameType::heartbeat, body, digest_of(body)});
        write();
    }

    // Asks it whether it still comes to its handlers, now and then.
    bool user_is_stuck() {
        const Clock::time_point now = Clock::now();
        if (user_asked_) return now - std::max(asked_at_, user_seen_.load()) >= stuck_after_;
        if (now - asked_at_ < stuck_after_ / 60) return false;
        asked_at_ = now;
        user_asked_ = true;
        asio::post(subscriber_->context,
                   [self = shared_from_this()] { self->user_asked_ = false; });
        return false;
    }

    void watch_heartbeat() {
        if (lost_ || closing_ || broken_) return;
        watched_since_ = Clock::now();
        // While one long write is under way it is overdue all the time.
        heartbeat_timer_.expires_at(
            std::max(heartbeat_.due_at(), watched_since_ + heartbeat_.interval() / 4));
        heartbeat_timer_.async_wait([self = shared_from_this()](const ErrorCode& error) {
            if (error) return;
            if (self->heartbeat_.is_due(Clock::now())) self->send_heartbeat();
            self->choose_priority();
            self->watch_heartbeat();
        });
    }

    // Something was sent, so the timer may go off later: setting it is cheaper than a wake-up.
    void note_sent() {
        const Clock::time_point now = Clock::now();
        heartbeat_.sent(now);
        if (!heartbeat_.begun() || now - watched_since_ < heartbeat_.interval() / 4) return;
        choose_priority();
        watch_heartbeat();
    }

    // On a busy host a sign of life must not wait for its turn. Bulk may: each piece of it is such
    // a sign, and the guest needs the CPU, too. Without the permission, nothing changes.
    void choose_priority() {
        const Clock::time_point now = Clock::now();
        if (now - judged_ < heartbeat_.interval()) return;
        judged_ = now;
        const bool bulk = std::exchange(moved_bytes_, 0) >= bulk_bytes || queued_ >= bulk_bytes;
        quiet_intervals_ = bulk ? 0 : quiet_intervals_ + 1;
        set_urgent(quiet_intervals_ >= quiet_intervals_min);
    }

    void shut() {
        ErrorCode ignored;
        socket_.shutdown(Tcp::socket::shutdown_both, ignored);
        socket_.close(ignored);
        closing_timer_.cancel();
        heartbeat_timer_.cancel();
        lost_ = true;
        set_urgent(false);
        if (!writing_) release_all();
    }

    void release_all() {
        for (Outgoing& frame : queue_)
            release(std::move(frame.body));
        queue_.clear();
    }

    void lose(const std::string& reason) {
        if (lost_) return;
        shut();
        tell([reason](Subscriber& subscriber) {
            std::exchange(subscriber.user, nullptr)->channel_lost(reason);
        });
    }

    void lose(const ErrorCode& error) {
        const bool ended = error == asio::error::eof || error == asio::error::connection_reset;
        lose(ended ? "the peer closed the connection" : error.message());
    }

    void write() {
        writing_ = true;
        note_sent();
        std::vector<asio::const_buffer> buffers;
        in_flight_ = 0;
        for (const Outgoing& frame : queue_) {
            if (in_flight_ == gather_max) break;
            buffers.emplace_back(asio::buffer(frame.header));
            frame.body.each_piece([&](std::span<const std::uint8_t> piece) {
                buffers.emplace_back(piece.data(), piece.size());
            });
            ++in_flight_;
        }
        // Asio's own condition would hand the kernel 64 KiB at a time.
        const auto until_written = [](const ErrorCode& error, std::size_t) {
            return error ? std::size_t{0} : std::size_t{frame_body_max};
        };
        asio::async_write(socket_, std::move(buffers), until_written,
                          [self = shared_from_this()](const ErrorCode& error, std::size_t) {
                              self->written(error);
                          });
    }

    void written(const ErrorCode& error) {
        writing_ = false;
        if (error || lost_) {
            release_all();
            // The peer is gone, but what it said last (why it goes) may not have been read yet: the
            // receiver comes to that, and then to the end.
            broken_ = true;
            if (closing_) shut();
            return;
        }
        const bool was_above = queued_ > channel_low_water;
        for (; in_flight_ != 0; --in_flight_) {
            const std::size_t bytes = frame_header_size + queue_.front().body.size();
            queued_ -= bytes;
            moved_bytes_ += bytes;
            release(std::move(queue_.front().body));
            queue_.pop_front();
        }
        if (!queue_.empty()) {
            write();
        } else if (closing_) {
            shut();
            return;
        }
        if (was_above && queued_ <= channel_low_water)
            tell([](Subscriber& subscriber) { subscriber.user->channel_drained(); });
    }

    void received(const ErrorCode& error, std::size_t count) {
        if (error) {
            lose(error);
            return;
        }
        moved_bytes_ += count;
        heard_ = Clock::now();
        Result<std::optional<Frame>> frame = decoder_.received(count);
        if (!frame.ok()) {
            lose(frame.error().message());
            return;
        }
        if (*frame && !is_sign_of_life(**frame)) deliver(std::move(**frame));
        if (heartbeat_.owes_answer(heard_)) send_heartbeat();
        receive();
    }

    void deliver(Frame frame) {
        const std::size_t bytes = frame.body.size() + unread_frame_cost;
        unread_ += bytes;
        asio::post(subscriber_->context,
                   [self = shared_from_this(), bytes, frame = std::move(frame)]() mutable {
                       ChannelUser* const user = self->subscriber_->user;
                       if (user != nullptr) user->frame_received(std::move(frame));
                       self->consumed(bytes);
                   });
    }

    // User's thread: what it has read makes room for more.
    void consumed(std::size_t bytes) {
        unread_ -= bytes;
        const Clock::time_point now = Clock::now();
        user_seen_ = now;
        heard_ = now;  // meanwhile we may not have listened
        if (!paused_ || unread_ > unread_bytes_max / 2) return;
        post([](Connection& connection) {
            if (connection.paused_) connection.receive();
        });
    }

    Tcp::socket socket_;
    asio::steady_timer closing_timer_;
    asio::steady_timer heartbeat_timer_;
    const std::shared_ptr<Subscriber> subscriber_;
    const std::chrono::milliseconds stuck_after_;
    std::atomic<bool> user_asked_{false};  // and has not answered yet
    Clock::time_point asked_at_{};
    std::atomic<Clock::time_point> user_seen_{Clock::time_point{}};  // it has read a frame
    std::string peer_;
    FrameDecoder decoder_;
    std::deque<Outgoing> queue_;
    std::atomic<std::size_t> queued_{0};
    std::atomic<Clock::time_point> heard_{Clock::now()};
    std::size_t in_flight_ = 0;           // frames of the queue that are being written
    std::atomic<std::size_t> unread_{0};  // bytes of frames that the user has not been told yet
    std::atomic<bool> paused_{false};     // not reading, because of those
    std::uint64_t next_sequence_ = 0;
    Heartbeat heartbeat_;
    Clock::time_point watched_since_{};  // when heartbeat_timer_ was set
    std::size_t moved_bytes_ = 0;        // since judged_
    Clock::time_point judged_{};
    unsigned quiet_intervals_ = quiet_intervals_min;
    bool writing_ = false;
    bool closing_ = false;
    bool broken_ = false;  // nothing can be sent any more
    bool lost_ = false;
};

// The user's end of a connection; on the user's thread.
class AsioChannel : public Channel {
  public:
    // The socket moves over to the network thread.
    AsioChannel(Tcp::socket socket, const ChannelThreads& threads)
        : subscriber_(std::make_shared<Subscriber>(threads.user)) {
        const Tcp protocol = socket.local_endpoint().protocol();
        connection_ =
            std::make_shared<Connection>(Tcp::socket(threads.network, protocol, socket.release()),
                                         subscriber_, threads.stuck_after);
    }
    ~AsioChannel() override { close(); }
    void start(ChannelUser& user) override {
        subscriber_->user = &user;
        connection_->post([](Connection& connection) { connection.receive(); });
    }
    std::uint64_t send(FrameType type, GatheredBody body) override {
        const std::uint64_t digest = send_with_next(type, std::move(body));
        connection_->send(std::exchange(unsent_, {}));
        return digest;
    }
    std::uint64_t send_with_next(FrameType type, GatheredBody body) override {
        const std::uint64_t digest = body.digest();
        unsent_.push_back({type, std::move(body), digest});
        return digest;
    }
    void keep_alive(std::chrono::milliseconds interval, Heartbeat::Role role) override {
        connection_->post([heartbeat = Heartbeat(interval, role, Clock::now())](
                              Connection& connection) { connection.keep_alive(heartbeat); });
    }
    Clock::time_point last_heard() const override { return connection_->last_heard(); }
    std::size_t queued_bytes() const override { return connection_->queued_bytes(); }
    void close() override {
        subscriber_->user = nullptr;
        connection_->post([](Connection& connection) { connection.close(); });
    }
    std::string peer() const override { return connection_->peer(); }

  private:
    const std::shared_ptr<Subscriber> subscriber_;
    std::shared_ptr<Connection> connection_;
    std::vector<Unsent> unsent_;
};

}  // namespace

Result<std::unique_ptr<Channel>> make_channel(Tcp::socket socket, const ChannelThreads& threads,
                                              ErrorCode error) {
    if (!error) socket.remote_endpoint(error);
    if (error) return Error(error.message());
    return std::unique_ptr<Channel>(std::make_unique<AsioChannel>(std::move(socket), threads));
}

}  // namespace fmvm::lockstep
