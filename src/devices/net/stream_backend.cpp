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
    if (!watch_) {
        ++left_;
        return;
    }
    // The length takes the place of the header's end.
    const auto length = encode_length(packet.size() - net_header_size);
    unsent_begin_ = net_header_size - length_size;
    std::ranges::copy(length, packet.begin() + static_cast<std::ptrdiff_t>(unsent_begin_));
    unsent_ = std::move(packet);
    unsent_is_withdrawn_ = false;
    send_rest();
}

void StreamBackend::send_rest() {
    while (watch_ && watch_->may_write() && unsent_begin_ != unsent_.size()) {
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
    if (unsent_begin_ != unsent_.size()) return;
    unsent_.clear();
    if (!unsent_is_withdrawn_) ++left_;
}

// A packet that has begun to leave is finished, else the other side would lose count.
void StreamBackend::withdraw() {
    left_ = 0;
    unsent_is_withdrawn_ = true;
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
    if (!unsent_.empty() && !unsent_is_withdrawn_) ++left_;
    unsent_.clear();
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

}  // namespace fmvm
