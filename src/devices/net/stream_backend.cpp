// SPDX-License-Identifier: Apache-2.0
#include "devices/net/stream_backend.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <boost/asio/steady_timer.hpp>

#include "base/log.h"
#include "base/units.h"

namespace fmvm {

namespace {

constexpr std::size_t length_size = 4;
constexpr std::size_t frame_begin = net_header_size - length_size;  // of a packet: where it is sent
constexpr std::size_t incoming_size = 256 * kib;
constexpr std::chrono::seconds retry_interval{1};

std::array<std::uint8_t, length_size> encode_length(std::size_t length) {
    return {static_cast<std::uint8_t>(length >> 24), static_cast<std::uint8_t>(length >> 16),
            static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length)};
}

std::size_t decode_length(const std::uint8_t* bytes) {
    return std::size_t{bytes[0]} << 24 | std::size_t{bytes[1]} << 16 | std::size_t{bytes[2]} << 8 |
           bytes[3];
}

}  // namespace

Result<UniqueFd> connect_stream(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return make_error("socket={}: a socket's path has 1 to {} bytes", path,
                          sizeof address.sun_path - 1);
    std::ranges::copy(path, address.sun_path);
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return errno_error(errno, fmt::format("socket={}", path));
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return make_error(
            "socket={}: {}; start what listens there first (passt --socket {}, for example)", path,
            std::strerror(errno), path);
    }
    return socket;
}

struct StreamBackend::Timer {
    explicit Timer(EventLoop& loop) : timer(loop.context()) {}
    boost::asio::steady_timer timer;
};

StreamBackend::StreamBackend(EventLoop& loop, UniqueFd socket, std::string path)
    : loop_(loop),
      path_(std::move(path)),
      incoming_(incoming_size),
      timer_(std::make_unique<Timer>(loop)) {
    use(std::move(socket));
}

StreamBackend::~StreamBackend() = default;

void StreamBackend::use(UniqueFd socket) {
    incoming_begin_ = incoming_end_ = 0;
    watch_ = std::make_unique<ReadinessWatch>(loop_, std::move(socket), [this] { ready(); });
}

void StreamBackend::ready() {
    if (!unsent_.empty()) send_rest();
    if (change_) change_();
}

void StreamBackend::send(NetPacket packet) {
    FMVM_CHECK(unsent_.empty());
    begin_to_send(std::move(packet), Whose::guest);
}

void StreamBackend::begin_to_send(NetPacket packet, Whose whose) {
    unsent_is_whose_ = whose;
    if (!watch_) return unsent_is_gone();
    // The length takes the place of the header's end.
    const auto length = encode_length(packet.size() - net_header_size);
    unsent_begin_ = frame_begin;
    std::ranges::copy(length, packet.begin() + static_cast<std::ptrdiff_t>(unsent_begin_));
    unsent_ = std::move(packet);
    send_rest();
}

void StreamBackend::unsent_is_gone() {
    unsent_.clear();
    if (unsent_is_whose_ == Whose::guest) ++left_;
}

void StreamBackend::send_rest() {
    while (watch_ && watch_->may_write() && unsent_begin_ != unsent_.size()) {
        if (permit_ && !permit_()) return;
        const ssize_t size = ::send(watch_->fd(), unsent_.data() + unsent_begin_,
                                    unsent_.size() - unsent_begin_, MSG_NOSIGNAL);
        if (size >= 0) {
            unsent_begin_ += static_cast<std::size_t>(size);
        } else if (errno == EAGAIN) {
            watch_->wait_to_write();
        } else if (errno != EINTR) {
            lose(std::strerror(errno));
            return;
        }
    }
    if (unsent_begin_ == unsent_.size()) unsent_is_gone();
}

// A packet that has begun to leave is finished, else the other side would lose count.
void StreamBackend::withdraw() {
    left_ = 0;
    if (unsent_is_whose_ == Whose::host) return;
    unsent_is_whose_ = Whose::nobody;
    if (unsent_begin_ == frame_begin) unsent_.clear();
}

std::size_t StreamBackend::receive(std::span<std::uint8_t> packet) {
    for (;;) {
        const std::size_t there = incoming_end_ - incoming_begin_;
        if (there >= length_size) {
            const std::uint8_t* const bytes = incoming_.data() + incoming_begin_;
            const std::size_t length = decode_length(bytes);
            if (length < ethernet_header_size || length > net_frame_size_max) {
                lose(fmt::format("it announced a frame of {} bytes", length));
                return 0;
            }
            if (there - length_size >= length) {
                std::fill_n(packet.begin(), net_header_size, std::uint8_t{0});
                std::copy_n(bytes + length_size, length, packet.begin() + net_header_size);
                incoming_begin_ += length_size + length;
                return net_header_size + length;
            }
        }
        if (!read_more()) return 0;
    }
}

bool StreamBackend::read_more() {
    if (!watch_ || !watch_->may_read()) return false;
    std::copy(incoming_.begin() + static_cast<std::ptrdiff_t>(incoming_begin_),
              incoming_.begin() + static_cast<std::ptrdiff_t>(incoming_end_), incoming_.begin());
    incoming_end_ -= std::exchange(incoming_begin_, 0);
    const ssize_t size =
        ::recv(watch_->fd(), incoming_.data() + incoming_end_, incoming_.size() - incoming_end_, 0);
    if (size > 0) {
        incoming_end_ += static_cast<std::size_t>(size);
        return true;
    }
    if (size == 0) {
        lose("it has closed the connection");
    } else if (errno == EAGAIN) {
        watch_->wait_to_read();
    } else if (errno == EINTR) {
        return true;
    } else {
        lose(std::strerror(errno));
    }
    return false;
}

void StreamBackend::lose(const std::string& why) {
    watch_.reset();
    incoming_begin_ = incoming_end_ = 0;
    if (!unsent_.empty()) unsent_is_gone();
    log::warning("net", "the other side of {} is gone: {}{}",
                 path_.empty() ? "the guest's network socket" : path_, why,
                 path_.empty() ? "" : "; it is tried again every second");
    if (!path_.empty()) try_again_later();
}

void StreamBackend::try_again_later() {
    timer_->timer.expires_after(retry_interval);
    timer_->timer.async_wait(tasks_.bind([this](const boost::system::error_code& error) {
        if (!error) try_again();
    }));
}

void StreamBackend::try_again() {
    Result<UniqueFd> socket = connect_stream(path_);
    if (!socket.ok()) return try_again_later();
    log::notice("net", "the other side of {} is back", path_);
    use(std::move(socket).value());
    if (change_) change_();
}

// Without a path there is nothing to connect to again, so that the connection stays. What has come
// in meanwhile is not for the guest that comes now.
void StreamBackend::plug(bool in) {
    if (path_.empty()) {
        if (in) drop_incoming();
    } else if (!in) {
        watch_.reset();
    } else if (!watch_) {
        Result<UniqueFd> socket = connect_stream(path_);
        if (socket.ok()) return use(std::move(socket).value());
        log::warning("net", "{}; it is tried again every second", socket.error().message());
        try_again_later();
    }
}

void StreamBackend::drop_incoming() {
    constexpr unsigned packets_max = 1024;  // more than a socket holds of them, usually
    Buffer packet(net_packet_size_max);
    for (unsigned i = 0; i < packets_max && receive(packet) != 0; ++i) {
    }
}

bool StreamBackend::say(std::span<const std::uint8_t> frame) {
    if (!unsent_.empty()) return false;
    NetPacket packet(net_header_size);
    packet.insert(packet.end(), frame.begin(), frame.end());
    begin_to_send(std::move(packet), Whose::host);
    return true;
}

}  // namespace fmvm
