// SPDX-License-Identifier: Apache-2.0
// Hears the primary's sentinel on a connection that has joined the channel: the session once more
// means that the primary is dead. A connection that ends without it, or says something else, says
// nothing.
//
// Threads: the loop's, and whoever creates it while the loop does not run.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>

#include "base/unique_fd.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

class SentinelWatch {
  public:
    // died: called at most once, and may destroy the watch.
    SentinelWatch(boost::asio::io_context& loop, UniqueFd connection, const SessionId& session,
                  std::function<void()> died);
    ~SentinelWatch();

  private:
    struct Connection;  // keeps Asio's header out of this one
    void heard();

    const SessionId session_;
    const std::function<void()> died_;
    SessionId word_{};
    const std::unique_ptr<Connection> connection_;
};

}  // namespace fmvm::lockstep
