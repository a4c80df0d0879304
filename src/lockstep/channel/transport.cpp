// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/transport.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "lockstep/channel/endpoint.h"

namespace fmvm::lockstep {

namespace {

// One system call's worth.
constexpr std::size_t parts_max = 64;

// What a system call came to that moves bytes; errno is its own.
Moved moved_by(ssize_t count, Needs needs) {
    if (count >= 0) return {.bytes = static_cast<std::size_t>(count)};
    if (errno == EAGAIN || errno == EINTR) return {.needs = needs};
    return {.lost = errno == ECONNRESET ? peer_closed : std::strerror(errno)};
}

Moved receive_clear(int socket, std::span<std::uint8_t> space) {
    const ssize_t count = ::recv(socket, space.data(), space.size(), MSG_DONTWAIT);
    if (count == 0) return {.lost = peer_closed};
    return moved_by(count, Needs::readable);
}

Moved send_clear(int socket, std::span<const boost::asio::const_buffer> pieces) {
    std::array<iovec, parts_max> parts;
    const std::size_t count = std::min(pieces.size(), parts.size());
    for (std::size_t i = 0; i < count; ++i)
        parts[i] = {const_cast<void*>(pieces[i].data()), pieces[i].size()};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    return moved_by(::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT), Needs::writable);
}

}  // namespace

Result<Transport> Transport::over(boost::asio::ip::tcp::socket socket,
                                  const std::shared_ptr<TlsKeyring>& keys, TlsSession::Role role) {
    boost::system::error_code error;
    const auto remote = socket.remote_endpoint(error);
    // Nagle's algorithm and delayed acknowledgements would add 40 ms to an epoch.
    if (!error) socket.set_option(boost::asio::ip::tcp::no_delay(true), error);
    UniqueFd descriptor(error ? -1 : socket.release(error));
    if (error) return Error(error.message());
    std::unique_ptr<TlsSession> tls = start_tls(keys, role, descriptor.get());
    return Transport(std::move(descriptor),
                     Endpoint{remote.address().to_string(), remote.port()}.text(), std::move(tls));
}

Moved Transport::read(std::span<std::uint8_t> space) {
    FMVM_CHECK(!space.empty());
    if (unread_.empty()) return tls_ ? tls_->read(space) : receive_clear(fd(), space);
    const std::size_t count = std::min(space.size(), unread_.size());
    std::copy_n(unread_.begin(), count, space.begin());
    unread_.erase(unread_.begin(), unread_.begin() + static_cast<std::ptrdiff_t>(count));
    return {.bytes = count};
}

Moved Transport::write(std::span<const boost::asio::const_buffer> pieces) {
    return tls_ ? tls_->write(pieces) : send_clear(fd(), pieces);
}

Moved Transport::write(std::span<const std::uint8_t> bytes) {
    const boost::asio::const_buffer piece(bytes.data(), bytes.size());
    return write(std::span(&piece, 1));
}

void Transport::unread(std::span<const std::uint8_t> bytes) {
    unread_.insert(unread_.begin(), bytes.begin(), bytes.end());
}

void Transport::close() {
    if (!socket_) return;
    ::shutdown(fd(), SHUT_RDWR);
    tls_.reset();
    socket_.reset();
}

}  // namespace fmvm::lockstep
