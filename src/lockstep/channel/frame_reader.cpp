// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/frame_reader.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <utility>

namespace fmvm::lockstep {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;

namespace {

Error reason_of(const ErrorCode& error) {
    const bool ended = error == asio::error::eof || error == asio::error::connection_reset;
    return Error(ended ? "the peer closed the connection" : error.message());
}

}  // namespace

void FrameReader::read(Handler handler) {
    FMVM_CHECK(!reading_ && !failed_);
    reading_ = true;
    const std::span<std::uint8_t> space = decoder_.space();
    stream_.async_read_some(
        asio::buffer(space.data(), space.size()),
        [this, handler = std::move(handler)](const ErrorCode& error, std::size_t bytes) {
            reading_ = false;
            handler(take(error, bytes));
        });
}

Result<FrameReader::Received> FrameReader::take(const ErrorCode& error, std::size_t bytes) {
    failed_ = true;
    if (error) return reason_of(error);
    std::optional<Frame> frame = FMVM_TRY(decoder_.received(bytes));
    failed_ = false;
    return Received{bytes, std::move(frame)};
}

}  // namespace fmvm::lockstep
