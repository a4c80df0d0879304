// SPDX-License-Identifier: Apache-2.0
// A new connection until its two ends have shaken hands, within a limit of time. In the clear that
// is at once.
//
// Threads: the loop's.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>

#include "base/result.h"
#include "lockstep/channel/stream.h"
#include "vmm/loop/task_scope.h"

namespace fmvm::lockstep {

class Handshake {
  public:
    // Called once, later, and may destroy the handshake. An error is one sentence.
    using Handler = std::function<void(Result<Transport>)>;

    // Destroying it closes the connection, and nobody is told.
    Handshake(const boost::asio::any_io_executor& loop, Transport transport,
              std::chrono::milliseconds limit, Handler handler);

    const std::string& peer() { return stream_.transport().peer(); }

  private:
    void go_on();
    void finish(Result<Transport> result);

    Stream stream_;
    boost::asio::steady_timer limit_;
    Handler handler_;
    TaskScope tasks_;  // last: its tasks use the rest
};

}  // namespace fmvm::lockstep
