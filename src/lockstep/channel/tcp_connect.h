// SPDX-License-Identifier: Apache-2.0
// Makes channels over TCP, by connecting or by listening. With keys they are under TLS, and nobody
// else gets anywhere; without, they are in the clear.
//
// Threads: the user's. A listener with keys has one of its own (tls_door.h).
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "lockstep/channel/channel.h"
#include "lockstep/channel/channel_threads.h"
#include "lockstep/channel/endpoint.h"
#include "lockstep/channel/joiner.h"

namespace fmvm::lockstep {

class Connector {
  public:
    // Called once, with a channel or one sentence why there is none. It may destroy the connector.
    using Handler = std::function<void(Result<std::unique_ptr<Channel>>)>;
    // The attempt, and shaking hands if there are keys, takes `limit_ms` at most each. Destroying
    // the connector gives the attempt up.
    static std::unique_ptr<Connector> connect(const ChannelThreads& threads,
                                              const Endpoint& endpoint,
                                              std::shared_ptr<TlsKeyring> keys, unsigned limit_ms,
                                              Handler handler);
    virtual ~Connector() = default;
};

// Accepts connections until it is destroyed.
class Listener {
  public:
    // Neither may destroy the listener.
    struct Handlers {
        std::function<void(std::unique_ptr<Channel>)> channel;
        std::function<void(Joiner)> join;  // somebody wants to join a channel
    };
    static Result<std::unique_ptr<Listener>> listen(const ChannelThreads& threads,
                                                    const Endpoint& endpoint,
                                                    std::shared_ptr<TlsKeyring> keys,
                                                    Handlers handlers);
    virtual ~Listener() = default;
    // With the port that the system chose for port 0.
    virtual Endpoint endpoint() const = 0;
};

}  // namespace fmvm::lockstep
