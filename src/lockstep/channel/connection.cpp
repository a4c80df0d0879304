// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/connection.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "base/digest.h"
#include "lockstep/channel/channel.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::chrono::milliseconds linger_max{200};

UnsentFrame sign_of_life() {
    Body body = HeartbeatMessage{}.encode();
    const std::uint64_t digest = digest_of(body);
    return {FrameType::heartbeat, std::move(body), digest};
}

}  // namespace

Connection::Connection(Transport transport, const ChannelThreads& threads)
    : stream_(threads.network.get_executor(), std::move(transport)),
      user_loop_(threads.user),
      reader_(stream_),
      writer_(stream_,
              [this](GatheredBody body) {  // what it refers to belongs to the user's thread
                  asio::post(user_loop_, [body = std::move(body)] {});
              }),
      watchdog_(threads.user, threads.stuck_after),
      signs_(stream_.loop(),
             [this](TimePoint now, bool due) {
                 if (due) send_sign_of_life(now);
                 priority_.judge(now, signs_.interval(), writer_.queued_bytes());
             }),
      linger_(stream_.loop()) {}

template <typename Task>
void Connection::post(Task task) {
    asio::post(stream_.loop(),
               [self = shared_from_this(), task = std::move(task)]() mutable { task(*self); });
}

void Connection::start(UserCalls user) {
    post([user = std::move(user)](Connection& self) mutable {
        FMVM_CHECK(!self.user_.frame_received);
        self.user_ = std::move(user);
        self.receive();
    });
}

void Connection::send(std::vector<UnsentFrame> frames) {
    for (const UnsentFrame& frame : frames)
        writer_.announce(frame);
    post([frames = std::move(frames)](Connection& self) mutable {
        for (UnsentFrame& frame : frames) {
            if (self.state_ == State::open) {
                self.writer_.enqueue(std::move(frame));
            } else {
                self.writer_.reject(std::move(frame));
            }
        }
        if (!self.writer_.is_writing() && !self.writer_.is_empty()) self.write();
    });
}

void Connection::keep_alive(const Heartbeat& heartbeat) {
    post([heartbeat](Connection& self) {
        if (self.state_ == State::open) self.signs_.begin(heartbeat);
    });
}

void Connection::close() {
    post([](Connection& self) { self.begin_to_close(); });
}

void Connection::enter(State state) {
    const bool allowed = state == State::shut ? state_ != State::shut : state_ == State::open;
    FMVM_CHECK(allowed && state != State::open);
    state_ = state;
    signs_.end();
}

void Connection::receive() {
    if (state_ == State::shut || !unread_.may_read()) return;
    reader_.read([self = shared_from_this()](Result<FrameReader::Received> received) {
        self->received(std::move(received));
    });
}

void Connection::received(Result<FrameReader::Received> received) {
    if (state_ == State::shut) return;
    if (!received.ok()) return lose(received.error().message());
    priority_.moved(received->bytes);
    received_bytes_ += received->bytes;
    const TimePoint now = Clock::now();
    heard_at_ = now;
    std::optional<Frame>& frame = received->frame;
    if (frame && !is_sign_of_life(*frame)) deliver(std::move(*frame));
    if (signs_.owes_answer(now)) send_sign_of_life(now);
    receive();
}

void Connection::deliver(Frame frame) {
    const std::size_t cost = UnreadLimit::cost(frame.body.size());
    unread_.delivered(cost);
    asio::post(user_loop_, [self = shared_from_this(), cost, frame = std::move(frame)]() mutable {
        self->user_.frame_received(std::move(frame));
        self->frame_read(cost);
    });
}

// User's thread.
void Connection::frame_read(std::size_t cost) {
    const TimePoint now = Clock::now();
    watchdog_.saw_user(now);
    heard_at_ = now;  // while it read the frame, nobody may have listened
    if (!unread_.read(cost)) return;
    post([](Connection& self) {
        if (self.unread_.is_paused()) self.receive();
    });
}

void Connection::write() {
    FMVM_CHECK(state_ == State::open || state_ == State::closing);
    signs_.sent(Clock::now());
    writer_.write(
        [self = shared_from_this()](FrameWriter::Outcome outcome) { self->written(outcome); });
}

void Connection::written(FrameWriter::Outcome outcome) {
    const auto [bytes, failed] = outcome;
    if (failed || state_ == State::shut) writer_.discard();
    if (state_ == State::shut) return;
    if (failed) return state_ == State::closing ? shut() : enter(State::receiving_only);
    priority_.moved(bytes);
    const std::size_t left = writer_.queued_bytes();
    if (!writer_.is_empty()) {
        write();
    } else if (state_ == State::closing) {
        return shut();
    }
    const bool drained = left <= channel_low_water && left + bytes > channel_low_water;
    if (drained && user_.drained) asio::post(user_loop_, user_.drained);
}

// While a write is under way, its bytes are the sign.
void Connection::send_sign_of_life(TimePoint now) {
    if (state_ != State::open || writer_.is_writing() || watchdog_.is_stuck(now)) return;
    UnsentFrame frame = sign_of_life();
    writer_.announce(frame);
    writer_.enqueue(std::move(frame));
    write();
}

void Connection::begin_to_close() {
    if (state_ == State::closing || state_ == State::shut) return;
    if (!writer_.is_writing()) return shut();
    enter(State::closing);
    linger_.expires_after(linger_max);
    linger_.async_wait([self = shared_from_this()](const ErrorCode& error) {
        if (!error && self->state_ != State::shut) self->shut();
    });
}

void Connection::lose(const std::string& reason) {
    shut();
    asio::post(user_loop_, [lost = user_.lost, reason] { lost(reason); });
}

void Connection::shut() {
    enter(State::shut);
    stream_.close();
    linger_.cancel();
    NetworkPriority::end();
    if (!writer_.is_writing()) writer_.discard();
}

}  // namespace fmvm::lockstep
