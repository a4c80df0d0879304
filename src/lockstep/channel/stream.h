// SPDX-License-Identifier: Apache-2.0
// The byte stream that carries the frames of a connection: a TCP socket.
//
// FrameReader and FrameWriter only need that it has Asio's async_read_some() and
// async_write_some(). So another stream, such as one that encrypts, takes the place of the socket
// here, in make_channel(), which sets it up, and in Connection, which shuts it.
#pragma once

#include <boost/asio/ip/tcp.hpp>

namespace fmvm::lockstep {

using Stream = boost::asio::ip::tcp::socket;

}  // namespace fmvm::lockstep
