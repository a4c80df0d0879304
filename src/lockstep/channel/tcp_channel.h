// SPDX-License-Identifier: Apache-2.0
// Channels over TCP (Boost.Asio): connecting, listening, sending and receiving frames.
//
// A channel's user lives on its own thread, the replication thread, which may be busy for a while
// (cutting, packing, applying). Sending, receiving and heartbeats happen on a network thread that
// never is. What a user has not read yet is bounded: then nothing more is read from the socket.
//
// A user of which no handler has ended for `stuck_after`, although there was something to do (a
// system call on its disk hangs, say), is as good as dead: from then on the channel gives no signs
// of life, so that the peer decides. Long, because one handler may digest all of a large guest's
// memory.
//
// TCP_NODELAY is set: Nagle's algorithm and delayed acknowledgements would add 40 ms to an epoch.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "base/result.h"
#include "lockstep/channel/channel.h"
#include "lockstep/channel/endpoint.h"

namespace boost::asio {
class io_context;
}

namespace fmvm::lockstep {

// The loops of those two threads.
struct ChannelThreads {
    boost::asio::io_context& user;
    boost::asio::io_context& network;
    std::chrono::milliseconds stuck_after{120000};
};

// Calls back once, on the user's thread, with a channel or the reason why there is none.
// `limit_ms` bounds the attempt. Destroying the connector gives the attempt up.
class Connector {
  public:
    using Handler = std::function<void(Result<std::unique_ptr<Channel>>)>;
    static std::unique_ptr<Connector> connect(const ChannelThreads& threads,
                                              const Endpoint& endpoint, unsigned limit_ms,
                                              Handler handler);
    virtual ~Connector() = default;
};

// Accepts connections until it is destroyed.
class Listener {
  public:
    using Handler = std::function<void(std::unique_ptr<Channel>)>;
    static Result<std::unique_ptr<Listener>> listen(const ChannelThreads& threads,
                                                    const Endpoint& endpoint, Handler handler);
    virtual ~Listener() = default;
    // With the port that the system chose for port 0.
    virtual Endpoint endpoint() const = 0;
};

}  // namespace fmvm::lockstep
