// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/stream.h"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "base/check.h"

namespace fmvm::lockstep {

namespace asio = boost::asio;
using Descriptor = asio::posix::stream_descriptor;
using ErrorCode = boost::system::error_code;

Stream::Stream(const asio::any_io_executor& loop, Transport transport)
    : loop_(loop), transport_(std::move(transport)), readiness_(loop, transport_.fd()) {}

Stream::~Stream() {
    leave_loop();
}

void Stream::leave_loop() {
    if (readiness_.is_open()) readiness_.release();
}

Transport Stream::release() {
    leave_loop();
    return std::move(transport_);
}

void Stream::close() {
    leave_loop();
    transport_.close();
}

void Stream::when_ready(Needs needs, std::function<void(const ErrorCode&)> then) {
    FMVM_CHECK(needs != Needs::nothing);
    readiness_.async_wait(needs == Needs::readable ? Descriptor::wait_read : Descriptor::wait_write,
                          std::move(then));
}

void Stream::wait(Needs needs, std::function<void()> ready) {
    when_ready(needs, [ready = std::move(ready)](const ErrorCode& error) {
        if (!error) ready();
    });
}

void Stream::read(std::span<std::uint8_t> space, Handler handler) {
    Moved moved = transport_.read(space);
    if (moved.needs == Needs::nothing) {
        return asio::post(loop_,
                          [handler = std::move(handler), moved = std::move(moved)]() mutable {
                              handler(std::move(moved));
                          });
    }
    when_ready(moved.needs,
               [this, space, handler = std::move(handler)](const ErrorCode& error) mutable {
                   if (error) return handler({.lost = error.message()});
                   read(space, std::move(handler));
               });
}

void Stream::write(std::vector<asio::const_buffer> pieces, Handler handler) {
    go_on({.pieces = std::move(pieces), .handler = std::move(handler)});
}

void Stream::Writing::advance(std::size_t bytes) {
    written += bytes;
    while (next != pieces.size() && bytes >= pieces[next].size())
        bytes -= pieces[next++].size();
    if (bytes != 0) pieces[next] += bytes;
}

// One attempt in each turn of the loop, so that what has come is read meanwhile.
void Stream::go_on(Writing writing) {
    Moved moved = transport_.write(std::span(writing.pieces).subspan(writing.next));
    writing.advance(moved.bytes);
    written_bytes_ += moved.bytes;
    if (moved.needs != Needs::nothing) {
        return when_ready(moved.needs,
                          [this, writing = std::move(writing)](const ErrorCode& error) mutable {
                              if (error) return writing.handler({.lost = error.message()});
                              go_on(std::move(writing));
                          });
    }
    asio::post(loop_, [this, writing = std::move(writing), lost = std::move(moved.lost)]() mutable {
        if (!lost.empty()) return writing.handler({.lost = lost});
        if (writing.next == writing.pieces.size())
            return writing.handler({.bytes = writing.written});
        go_on(std::move(writing));
    });
}

}  // namespace fmvm::lockstep
