// SPDX-License-Identifier: Apache-2.0
// A channel over a connection.
//
// The channel is the user's end, on the user's thread; the connection (connection.h) sends,
// receives and gives signs of life on the network thread. Connections are made in tcp_connect.h.
#pragma once

#include <memory>

#include "lockstep/channel/channel.h"
#include "lockstep/channel/channel_threads.h"
#include "lockstep/channel/transport.h"

namespace fmvm::lockstep {

// The transport moves over to the network thread. User's thread.
std::unique_ptr<Channel> make_channel(Transport transport, const ChannelThreads& threads);

}  // namespace fmvm::lockstep
