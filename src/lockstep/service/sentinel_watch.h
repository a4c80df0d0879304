// SPDX-License-Identifier: Apache-2.0
// Hears the primary's sentinel on a connection that has joined the channel: the session once more
// means that the primary is dead. A connection that ends without it, or says something else, says
// nothing.
//
// Threads: the loop's, and whoever creates it while the loop does not run.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>

#include "lockstep/channel/stream.h"
#include "lockstep/wire/messages.h"
#include "vmm/loop/task_scope.h"

namespace fmvm::lockstep {

class SentinelWatch {
  public:
    // died: called at most once, and may destroy the watch.
    SentinelWatch(boost::asio::io_context& loop, Transport connection, const SessionId& session,
                  std::function<void()> died);

  private:
    void hear();
    void heard();

    const SessionId session_;
    const std::function<void()> died_;
    SessionId word_{};
    std::size_t filled_ = 0;  // of word_
    Stream stream_;
    TaskScope tasks_;  // last: its tasks use the rest
};

}  // namespace fmvm::lockstep
