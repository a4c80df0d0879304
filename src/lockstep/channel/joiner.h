// SPDX-License-Identifier: Apache-2.0
// Somebody who has connected to join a channel (JoinMessage): he waits for the answer, and sends
// nothing before it has come.
//
// The answer is one frame, `joined` or a refusal. From `joined` on the connection carries what its
// kind says, and nothing is left of frames.
//
// Threads: one at a time. Nothing here waits.
#pragma once

#include <string>

#include "base/unique_fd.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

class Joiner {
  public:
    // The socket does not block; the join has been taken from it. peer: address and port.
    Joiner(UniqueFd socket, std::string peer, const JoinMessage& message)
        : socket_(std::move(socket)), peer_(std::move(peer)), message_(message) {}

    const JoinMessage& message() const { return message_; }
    const std::string& peer() const { return peer_; }

    // Once, one of them. Says so, and gives the connection away.
    UniqueFd accept();
    // Says why, and closes.
    void refuse(const std::string& why);

  private:
    template <typename Message>
    void answer(const Message& message);

    UniqueFd socket_;
    std::string peer_;
    JoinMessage message_;
};

}  // namespace fmvm::lockstep
