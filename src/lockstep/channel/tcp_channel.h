// SPDX-License-Identifier: Apache-2.0
// A channel over a connected TCP socket.
//
// The channel is the user's end, on the user's thread; the connection (connection.h) sends,
// receives and gives signs of life on the network thread. Sockets are made in tcp_connect.h.
#pragma once

#include <memory>

#include "base/result.h"
#include "lockstep/channel/channel.h"
#include "lockstep/channel/channel_threads.h"
#include "lockstep/channel/stream.h"

namespace fmvm::lockstep {

// The socket moves over to the network thread. An error means that the peer is gone again already.
// User's thread.
Result<std::unique_ptr<Channel>> make_channel(boost::asio::ip::tcp::socket socket,
                                              const ChannelThreads& threads);

}  // namespace fmvm::lockstep
