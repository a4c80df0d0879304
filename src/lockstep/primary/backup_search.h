// SPDX-License-Identifier: Apache-2.0
// A primary's search for a backup, from one connection to the next: how long it waits before it
// tries again, and what people are told of being without a backup.
//
// Threads: the replication thread.
#pragma once

#include <string>

#include "base/trouble.h"
#include "lockstep/primary/reconnect_delay.h"

namespace fmvm::lockstep {

class BackupSearch {
  public:
    using Duration = ReconnectDelay::Duration;
    using TimePoint = Trouble::TimePoint;

    // Somebody is, or was, a backup.
    void found(TimePoint now);
    // A connection is over on which the backup was in step for so long. unfit: it said that it
    // cannot be a backup.
    void connection_over(Duration in_step, bool unfit) { delay_ = delays_.next(in_step, unfit); }
    // Nobody could be connected to.
    void not_connected() { delay_ = ReconnectDelay::shortest; }
    // This peer is no backup, for this reason.
    void failed(const std::string& peer, const std::string& reason, TimePoint now);
    // How long to wait before the next attempt.
    Duration delay() const { return delay_; }

  private:
    ReconnectDelay delays_;
    Duration delay_ = ReconnectDelay::shortest;
    Trouble without_;
};

}  // namespace fmvm::lockstep
