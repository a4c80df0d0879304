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

#include "lockstep/channel/transport.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

class Joiner {
  public:
    // The join has been taken from the transport.
    Joiner(Transport transport, const JoinMessage& message)
        : transport_(std::move(transport)), message_(message) {}

    const JoinMessage& message() const { return message_; }
    const std::string& peer() const { return transport_.peer(); }

    // Once, one of them. Says so, and gives the connection away.
    Transport accept();
    // Says why, and closes.
    void refuse(const std::string& why);

  private:
    template <typename Message>
    void answer(const Message& message);

    Transport transport_;
    JoinMessage message_;
};

}  // namespace fmvm::lockstep
