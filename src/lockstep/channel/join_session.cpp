// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/join_session.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>

#include "lockstep/wire/whole_frame.h"

namespace fmvm::lockstep {

namespace {

using Clock = std::chrono::steady_clock;

// The way to the answer, within one limit of time.
class Joining {
  public:
    Joining(std::chrono::milliseconds limit, int give_up)
        : deadline_(Clock::now() + limit), give_up_(give_up) {}

    Result<void> connect(const Endpoint& backup);
    Result<void> say(const JoinMessage& join);
    Result<void> hear_answer();
    UniqueFd take() { return std::move(socket_); }

  private:
    Result<void> wait_for(short events) const;

    const Clock::time_point deadline_;
    const int give_up_;
    UniqueFd socket_;
};

Result<void> Joining::wait_for(short events) const {
    while (true) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
        if (left <= 0) return Error("it does not answer");
        pollfd waits[] = {{socket_.get(), events, 0}, {give_up_, POLLIN, 0}};
        const int count = ::poll(waits, 2, static_cast<int>(left));
        if (count < 0 && errno != EINTR) return errno_error(errno, "poll failed");
        if (count <= 0) continue;
        if (waits[1].revents != 0) return Error("nobody waits for it any more");
        return {};
    }
}

Result<void> Joining::connect(const Endpoint& backup) {
    const boost::asio::ip::tcp::endpoint to(boost::asio::ip::make_address(backup.address),
                                            backup.port);
    socket_ = UniqueFd(
        ::socket(to.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
    if (!socket_) return errno_error(errno, "socket failed");
    const int on = 1;
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(socket_.get(), to.data(), static_cast<socklen_t>(to.size())) == 0) return {};
    if (errno != EINPROGRESS) return errno_error(errno, "cannot connect");
    FMVM_TRY(wait_for(POLLOUT));
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return errno_error(error, "cannot connect");
    return {};
}

// A new connection has room for it.
Result<void> Joining::say(const JoinMessage& join) {
    const Body frame = whole_frame(join);
    const ssize_t sent = ::send(socket_.get(), frame.data(), frame.size(), MSG_NOSIGNAL);
    if (sent < 0) return errno_error(errno, "cannot send");
    if (static_cast<std::size_t>(sent) != frame.size()) return Error("it takes nothing");
    return {};
}

Result<void> Joining::hear_answer() {
    FrameDecoder decoder;
    while (true) {
        FMVM_TRY(wait_for(POLLIN));
        const std::span<std::uint8_t> space = decoder.space();
        const ssize_t count = ::recv(socket_.get(), space.data(), space.size(), 0);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (count < 0) return errno_error(errno, "cannot receive");
        if (count == 0) return Error("it closed the connection");
        const auto frame = FMVM_TRY(decoder.received(static_cast<std::size_t>(count)));
        if (!frame) continue;
        if (frame->type == FrameType::refuse) {
            const RefuseMessage refusal = FMVM_TRY(RefuseMessage::decode(frame->body));
            return make_error("it refuses: {}", refusal.reason);
        }
        if (frame->type != FrameType::joined) return Error("its answer is none");
        FMVM_TRY(JoinedMessage::decode(frame->body));
        return {};
    }
}

}  // namespace

Result<UniqueFd> join_session(const Endpoint& backup, const JoinMessage& join,
                              std::chrono::milliseconds limit, int give_up) {
    Joining joining(limit, give_up);
    FMVM_TRY(joining.connect(backup));
    FMVM_TRY(joining.say(join));
    FMVM_TRY(joining.hear_answer());
    return joining.take();
}

}  // namespace fmvm::lockstep
