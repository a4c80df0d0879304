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
    Result<Transport> shake_hands(const Endpoint& backup, const std::shared_ptr<TlsKeyring>& keys);
    Result<void> hear_answer(Transport& transport) const;

  private:
    Result<void> wait_for(int socket, short events) const;
    Result<void> wait_for(const Transport& transport, Needs needs) const;

    const Clock::time_point deadline_;
    const int give_up_;
    UniqueFd socket_;
};

Result<void> Joining::wait_for(int socket, short events) const {
    while (true) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
        if (left <= 0) return Error("it does not answer");
        pollfd waits[] = {{socket, events, 0}, {give_up_, POLLIN, 0}};
        const int count = ::poll(waits, 2, static_cast<int>(left));
        if (count < 0 && errno != EINTR) return errno_error(errno, "poll failed");
        if (count <= 0) continue;
        if (waits[1].revents != 0) return Error("nobody waits for it any more");
        return {};
    }
}

Result<void> Joining::wait_for(const Transport& transport, Needs needs) const {
    return wait_for(transport.fd(), needs == Needs::readable ? POLLIN : POLLOUT);
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
    FMVM_TRY(wait_for(socket_.get(), POLLOUT));
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return errno_error(error, "cannot connect");
    return {};
}

Result<Transport> Joining::shake_hands(const Endpoint& backup,
                                       const std::shared_ptr<TlsKeyring>& keys) {
    const int socket = socket_.get();
    Transport transport(std::move(socket_), backup.text(),
                        start_tls(keys, TlsSession::Role::client, socket));
    while (true) {
        const Moved moved = transport.shake_hands();
        if (moved.is_lost()) return Error(moved.lost);
        if (moved.needs == Needs::nothing) return transport;
        FMVM_TRY(wait_for(transport, moved.needs));
    }
}

// A new connection has room for it.
Result<void> say(Transport& transport, const JoinMessage& join) {
    const Body frame = whole_frame(join);
    const Moved moved = transport.write(frame);
    if (moved.is_lost()) return Error(moved.lost);
    if (moved.bytes != frame.size()) return Error("it takes nothing");
    return {};
}

Result<void> Joining::hear_answer(Transport& transport) const {
    FrameDecoder decoder;
    while (true) {
        const Moved moved = transport.read(decoder.space());
        if (moved.is_lost()) return Error(moved.lost);
        if (moved.needs != Needs::nothing) {
            FMVM_TRY(wait_for(transport, moved.needs));
            continue;
        }
        const auto frame = FMVM_TRY(decoder.received(moved.bytes));
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

Result<Transport> join_session(const Endpoint& backup, const std::shared_ptr<TlsKeyring>& keys,
                               const JoinMessage& join, std::chrono::milliseconds limit,
                               int give_up) {
    Joining joining(limit, give_up);
    FMVM_TRY(joining.connect(backup));
    Transport transport = FMVM_TRY(joining.shake_hands(backup, keys));
    FMVM_TRY(say(transport, join));
    FMVM_TRY(joining.hear_answer(transport));
    return transport;
}

}  // namespace fmvm::lockstep
