// SPDX-License-Identifier: Apache-2.0
// Connects to a backup to join the channel that leads there (joiner.h is the other end).
//
// Threads: any that may wait; no loop is needed.
#pragma once

#include <chrono>

#include "base/result.h"
#include "lockstep/channel/endpoint.h"
#include "lockstep/channel/transport.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

// Waits for the answer, at most so long, and no longer than until `give_up` is readable (an
// eventfd; -1: nobody gives up). Nothing of what comes after the answer was taken from the
// transport. An error is one sentence.
Result<Transport> join_session(const Endpoint& backup, const std::shared_ptr<TlsKeyring>& keys,
                               const JoinMessage& join, std::chrono::milliseconds limit,
                               int give_up);

}  // namespace fmvm::lockstep
