// SPDX-License-Identifier: Apache-2.0
#include "lockstep/sentinel/sentinel_loop.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

namespace fmvm::lockstep {

namespace {

// A connection on which nothing is said for days is not forgotten on the way, and one that is gone
// is noticed.
void keep_open(int fd) {
    const auto set = [fd](int level, int option, int value) {
        ::setsockopt(fd, level, option, &value, sizeof value);
    };
    set(IPPROTO_TCP, TCP_NODELAY, 1);
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 10);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
    set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

int error_of(int socket) {
    int error = 0;
    socklen_t size = sizeof error;
    return ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

}  // namespace

void SentinelLoop::run() {
    while (state_ != State::done)
        wait();
}

int SentinelLoop::timeout_ms() const {
    if (until_ == Clock::time_point::max()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until_ - Clock::now());
    return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

// Waits for the next thing to happen, and sees to it. Orders go first: what a process said before
// it died counts.
void SentinelLoop::wait() {
    std::array<pollfd, 3> watched{pollfd{orders_.get(), POLLIN, 0}, pollfd{death_.get(), POLLIN, 0},
                                  pollfd{connection_ ? connection_->fd() : -1, wanted(), 0}};
    const auto& [order, death, connection] = watched;  // poll() passes over what is negative
    if (::poll(watched.data(), watched.size(), timeout_ms()) < 0) return;
    if (order.revents != 0) return take_order();
    if (death.revents != 0) return process_died();
    if (connection.revents != 0) return look_at_connection();
    if (Clock::now() >= until_) time_is_up();
}

short SentinelLoop::wanted() const {
    const bool writable = state_ == State::connecting || needs_ == Needs::writable;
    return writable ? POLLOUT : POLLIN;
}

void SentinelLoop::take_order() {
    LastWord order;
    const ssize_t size = ::recv(orders_.get(), &order, sizeof order, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size != sizeof order) return orders_.reset();  // its other end is closed
    last_word_ = order;
    tls_ = order.under_tls ? std::make_shared<const TlsContext>(TlsKeys{order.key}) : nullptr;
    connection_.reset();
    state_ = State::idle;
    until_ = Clock::time_point::max();
    if (!last_word_.is_for_nobody()) connect();
}

void SentinelLoop::process_died() {
    death_.reset();
    orders_.reset();
    give_up_at_ = Clock::now() + patience_.telling;
    if (state_ == State::idle) state_ = State::done;
    if (state_ == State::standing_by) say_word();
    if (state_ == State::pausing) connect();
}

void SentinelLoop::connect() {
    state_ = State::connecting;
    needs_ = Needs::nothing;
    until_ = Clock::now() + patience_.connecting;
    UniqueFd socket(::socket(last_word_.listener.ss_family,
                             SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
    if (!socket) return lost(SentinelReport::State::unreachable, errno);
    const int fd = socket.get();
    keep_open(fd);
    connection_.emplace(
        std::move(socket), std::string(),
        tls_ ? std::make_unique<TlsSession>(tls_, TlsSession::Role::client, fd) : nullptr);
    if (::connect(fd, last_word_.address(), last_word_.listener_size) == 0) return shake_hands();
    if (errno != EINPROGRESS) lost(SentinelReport::State::unreachable, errno);
}

void SentinelLoop::look_at_connection() {
    if (state_ == State::connecting) {
        const int error = error_of(connection_->fd());
        return error == 0 ? shake_hands() : lost(SentinelReport::State::unreachable, error);
    }
    if (state_ == State::shaking) return shake_hands();
    std::array<std::uint8_t, 512> space;
    const Moved moved = connection_->read(space);
    if (moved.needs != Needs::nothing) return;
    if (!moved.is_lost()) return heard(std::span(space).first(moved.bytes));
    if (state_ == State::leaving) {
        state_ = State::done;
        return;
    }
    lost(SentinelReport::State::closed, 0);
}

void SentinelLoop::shake_hands() {
    state_ = State::shaking;
    const Moved moved = connection_->shake_hands();
    needs_ = moved.needs;
    if (moved.is_lost()) return lost(SentinelReport::State::refused, 0);
    if (needs_ == Needs::nothing) greet();
}

void SentinelLoop::greet() {
    if (!send(last_word_.greeting.get())) return lost(SentinelReport::State::closed, 0);
    state_ = State::greeting;
    answered_ = 0;
}

// Behind its answer, what the peer says is of no interest.
void SentinelLoop::heard(std::span<const std::uint8_t> said) {
    if (state_ != State::greeting) return;
    const std::span<const std::uint8_t> rest = last_word_.answer.get().subspan(answered_);
    const std::size_t size = std::min(said.size(), rest.size());
    if (!std::ranges::equal(said.first(size), rest.first(size)))
        return lost(SentinelReport::State::refused, 0);
    answered_ += size;
    if (answered_ != last_word_.answer.size) return;
    report({SentinelReport::State::connected, 0});
    state_ = State::standing_by;
    until_ = Clock::time_point::max();
    if (!death_) say_word();
}

// The peer closes when it has read the word. Whoever closes first, with bytes of the peer unread,
// resets the connection and may take the word with it.
void SentinelLoop::say_word() {
    if (!send(last_word_.word.get())) return lost(SentinelReport::State::closed, 0);
    ::shutdown(connection_->fd(), SHUT_WR);
    state_ = State::leaving;
    until_ = give_up_at_;
}

void SentinelLoop::lost(SentinelReport::State how, int error) {
    connection_.reset();
    report({how, error});
    state_ = Clock::now() < give_up_at_ ? State::pausing : State::done;
    until_ = Clock::now() + patience_.pausing;
}

void SentinelLoop::time_is_up() {
    if (state_ == State::pausing) return connect();
    if (state_ == State::connecting || state_ == State::shaking || state_ == State::greeting)
        return lost(SentinelReport::State::unreachable, ETIMEDOUT);
    state_ = State::done;
}

// All of it at once: the socket's buffer has room for what is said in one connection.
bool SentinelLoop::send(std::span<const std::uint8_t> bytes) {
    return connection_->write(bytes).bytes == bytes.size();
}

// The process may be dead, or take none; what is not told is told by what comes of it.
void SentinelLoop::report(SentinelReport report) const {
    if (orders_) ::send(orders_.get(), &report, sizeof report, MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace fmvm::lockstep
