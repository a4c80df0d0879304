// SPDX-License-Identifier: Apache-2.0
// What tcp_connect.cpp, which makes connections, and tcp_channel.cpp, which uses them, share.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "lockstep/channel/tcp_channel.h"

namespace fmvm::lockstep {

// A channel over a connected socket, which moves over to the network thread; or why there is none:
// `error`, or that the peer is gone again already. On the user's thread.
Result<std::unique_ptr<Channel>> make_channel(boost::asio::ip::tcp::socket socket,
                                              const ChannelThreads& threads,
                                              boost::system::error_code error);

}  // namespace fmvm::lockstep
