// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/first_looks.h"

#include <array>
#include <utility>

#include "lockstep/channel/endpoint.h"

namespace fmvm::lockstep {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;
using ErrorCode = boost::system::error_code;

namespace {

constexpr std::size_t join_frame_bytes = frame_header_size + JoinMessage::body_bytes;

// Copies the first bytes of what has come, without taking them. False: there are fewer.
bool peek(Tcp::socket& socket, std::span<std::uint8_t> bytes) {
    ErrorCode error;
    const std::size_t count =
        socket.receive(asio::buffer(bytes.data(), bytes.size()), Tcp::socket::message_peek, error);
    return !error && count == bytes.size();
}

Result<JoinMessage> decode_join(std::span<const std::uint8_t> bytes) {
    FrameDecoder decoder;
    std::optional<Frame> frame;
    while (!frame && !bytes.empty())
        frame = FMVM_TRY(decoder.feed(bytes));
    if (!frame || !bytes.empty()) return Error("a join of another size");
    return JoinMessage::decode(frame->body);
}

}  // namespace

void FirstLooks::add(Tcp::socket socket) {
    ErrorCode error;
    socket.non_blocking(true, error);
    if (error || looks_.size() == looks_max) return handlers_.channel(std::move(socket));
    const Looking look = looks_.emplace(looks_.end(), std::move(socket));
    look->limit.expires_after(patience);
    look->limit.async_wait(look->tasks.bind([this, look](const ErrorCode& cancelled) {
        if (!cancelled) is_channel(look);
    }));
    when_there(look, frame_header_size, &FirstLooks::look_at_header);
}

// Or when the peer sends no more: then the socket is readable, too.
void FirstLooks::when_there(Looking look, std::size_t bytes, void (FirstLooks::*next)(Looking)) {
    ErrorCode error;
    look->socket.set_option(asio::socket_base::receive_low_watermark(static_cast<int>(bytes)),
                            error);
    if (error) return is_channel(look);
    look->socket.async_wait(Tcp::socket::wait_read,
                            look->tasks.bind([this, look, next](const ErrorCode& cancelled) {
                                if (!cancelled) (this->*next)(look);
                            }));
}

void FirstLooks::look_at_header(Looking look) {
    FrameHeader header{};
    if (!peek(look->socket, header) || type_in(header) != FrameType::join) return is_channel(look);
    when_there(look, join_frame_bytes, &FirstLooks::take_join);
}

void FirstLooks::take_join(Looking look) {
    std::array<std::uint8_t, join_frame_bytes> bytes{};
    if (!peek(look->socket, bytes)) return is_channel(look);
    Tcp::socket socket = end(look);
    ErrorCode error;
    socket.receive(asio::buffer(bytes), 0, error);
    const Tcp::endpoint remote = error ? Tcp::endpoint() : socket.remote_endpoint(error);
    if (error) return;  // he is gone again
    UniqueFd descriptor(socket.release(error));
    if (error) return;
    const Result<JoinMessage> join = decode_join(bytes);
    Joiner joiner(std::move(descriptor),
                  Endpoint{remote.address().to_string(), remote.port()}.text(),
                  join.ok() ? join.value() : JoinMessage{});
    if (!join.ok()) return joiner.refuse(join.error().message());
    handlers_.join(std::move(joiner));
}

void FirstLooks::is_channel(Looking look) {
    handlers_.channel(end(look));
}

// What is still to be called for it is not.
Tcp::socket FirstLooks::end(Looking look) {
    ErrorCode ignored;
    look->limit.cancel();
    look->socket.cancel(ignored);
    look->socket.set_option(asio::socket_base::receive_low_watermark(1), ignored);
    Tcp::socket socket = std::move(look->socket);
    looks_.erase(look);
    return socket;
}

}  // namespace fmvm::lockstep
