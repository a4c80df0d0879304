// SPDX-License-Identifier: Apache-2.0
// Those who have connected to a backup while somebody else is being greeted, and wait for their
// turn. So one who connects again and again and says nothing cannot keep the primary out: of each
// address only a few may wait, and addresses take turns.
//
// Threads: the replication thread.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "lockstep/channel/channel.h"

namespace fmvm::lockstep {

class Callers {
  public:
    static constexpr std::size_t callers_max = 16;
    static constexpr std::size_t of_one_address_max = 2;

    // Refuses it when too many wait.
    void add(std::unique_ptr<Channel> channel);
    // Who is to be greeted next; null: nobody waits.
    std::unique_ptr<Channel> next();
    // Nobody is greeted any more.
    void refuse_all(const std::string& why);

  private:
    std::deque<std::unique_ptr<Channel>> waiting_;  // in the order in which they came
    std::string greeted_last_;                      // address
};

// Says why, and closes.
void refuse(Channel& channel, const std::string& why);

}  // namespace fmvm::lockstep
