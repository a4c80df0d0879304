// SPDX-License-Identifier: Apache-2.0
// Lifelines between simulated processes: the real rules of signs (life_signs.h), on threads that
// work never keeps busy and that stop with their process; on connections that delay, stand still
// and break as channels do.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "lockstep/channel/lifeline.h"
#include "lockstep/wire/messages.h"
#include "sim/network.h"

namespace fmvm::sim {

class LifeConnection;

class Lifelines {
  public:
    // What the backup does with a join: its own end, or one sentence why not.
    using Accept = std::function<Result<lockstep::Lifeline::Terms>(const lockstep::JoinMessage&)>;
    // The backup's end is made.
    using Made = std::function<void(std::unique_ptr<lockstep::Lifeline>)>;

    explicit Lifelines(Network& network) : network_(network) {}

    // The primary's end. The backup is asked after a while.
    std::unique_ptr<lockstep::Lifeline> join(Process& from, Process& to,
                                             const lockstep::JoinMessage& join,
                                             lockstep::Lifeline::Terms terms, Accept accept,
                                             Made made);
    // This process wants an answer at once.
    void ask(const Process& process);
    void died(const Process& process, Death death);
    // Breaks them all; the sides that are not told learn by silence.
    void cut(bool tell_primary, bool tell_backup);

  private:
    Network& network_;
    std::vector<std::shared_ptr<LifeConnection>> connections_;
};

}  // namespace fmvm::sim
