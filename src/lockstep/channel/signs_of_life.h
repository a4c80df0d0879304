// SPDX-License-Identifier: Apache-2.0
// Keeps the time of a connection's signs of life: when this side owes one (heartbeat.h), a timer
// goes off.
//
// Threads: the network thread, which does nothing that takes long. So a large epoch or a slow cut
// does not look like a death.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>

#include "lockstep/channel/heartbeat.h"
#include "vmm/loop/task_scope.h"

namespace fmvm::lockstep {

class SignsOfLife {
  public:
    // Called a few times an interval at most, from begin() until end(), when something was sent or
    // the timer has gone off. `due`: a sign of life is to be sent now.
    using Look = std::function<void(Heartbeat::TimePoint now, bool due)>;

    SignsOfLife(const boost::asio::any_io_executor& network, Look look)
        : look_(std::move(look)), timer_(network) {}

    void begin(const Heartbeat& heartbeat);
    // Idempotent. Nothing is owed any more.
    void end();

    // Something is being sent.
    void sent(Heartbeat::TimePoint now);
    // Something was heard, and is to be answered with a sign of life.
    bool owes_answer(Heartbeat::TimePoint now) const { return heartbeat_.owes_answer(now); }
    Heartbeat::Duration interval() const { return heartbeat_.interval(); }

  private:
    void wait(Heartbeat::TimePoint now);
    Heartbeat::Duration rest() const { return heartbeat_.interval() / 4; }

    const Look look_;
    Heartbeat heartbeat_;
    Heartbeat::TimePoint set_at_{};  // when the timer was set
    boost::asio::steady_timer timer_;
    TaskScope tasks_;  // last: its tasks use the rest
};

}  // namespace fmvm::lockstep
