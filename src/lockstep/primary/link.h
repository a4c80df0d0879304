// SPDX-License-Identifier: Apache-2.0
// What a primary has as long as one connection. Losing the peer destroys all of it, and the next
// connection begins with nothing of it.
//
// Threads: the replication thread.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "lockstep/channel/channel.h"
#include "lockstep/channel/failure_detector.h"
#include "lockstep/primary/epoch_sender.h"
#include "lockstep/primary/protection.h"
#include "lockstep/primary/verifier.h"

namespace fmvm::lockstep {

struct Link {
    using TimePoint = std::chrono::steady_clock::time_point;

    // Parts and host outlive this.
    Link(std::unique_ptr<Channel> to, const FailureDetector& listening, const PrimaryParts& parts,
         PrimaryHost& host, TimePoint::duration verify_patience)
        : channel(std::move(to)),
          peer(channel->peer()),
          detector(listening),
          epochs(*channel, parts.source, parts.gate),
          verifier(parts.source, host, verify_patience),
          protection(*channel, epochs, verifier, parts, host) {}
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    // Without room no bulk data is sent. The channel says when it has drained.
    bool has_room() const { return channel->queued_bytes() < channel_high_water; }
    // Says why, and nothing more.
    void refuse(const std::string& reason) {
        send(RefuseMessage{reason});
        channel->close();
    }
    // It has done what it was for.
    void end(const std::string& why) {
        verifier.end({VerifyOutcome::Kind::unfinished, "it ended meanwhile: " + why});
        channel->close();
    }
    template <typename Message>
    void send(const Message& message) {
        channel->send(Message::type, message.encode());
    }

    std::unique_ptr<Channel> channel;
    std::string peer;  // for messages
    FailureDetector detector;
    EpochSender epochs;
    Verifier verifier;
    Protection protection;
    bool unfit = false;  // the backup has said that it cannot be one
};

}  // namespace fmvm::lockstep
