// SPDX-License-Identifier: Apache-2.0
// A primary's search for a backup, from one connection to the next: how long it waits before it
// tries again, and which reasons for being without a backup people have been told already.
//
// Threads: the replication thread.
#pragma once

#include <string>

#include "lockstep/primary/reconnect_delay.h"

namespace fmvm::lockstep {

class BackupSearch {
  public:
    using Duration = ReconnectDelay::Duration;

    // Somebody is, or was, a backup: every reason is news again.
    void found() { told_.clear(); }
    // A connection is over on which the backup was in step for so long. unfit: it said that it
    // cannot be a backup.
    void connection_over(Duration in_step, bool unfit) { delay_ = delays_.next(in_step, unfit); }
    bool is_news(const std::string& reason) const { return reason != told_; }
    // Logs why this peer is no backup: loudly, if it is news.
    void tell(const std::string& peer, const std::string& reason);
    // The search begins anew. Returns how long to wait first, and logs that if it is long.
    Duration begin() const;

  private:
    ReconnectDelay delays_;
    Duration delay_ = ReconnectDelay::shortest;
    std::string told_;
};

}  // namespace fmvm::lockstep
