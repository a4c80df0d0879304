// SPDX-License-Identifier: Apache-2.0
// What a primary has as long as one connection. Losing the peer destroys all of it, and the next
// connection begins with nothing of it.
//
// Threads: the replication thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "lockstep/channel/channel.h"
#include "lockstep/channel/failure_detector.h"
#include "lockstep/channel/lifeline_watch.h"
#include "lockstep/primary/copy_progress.h"
#include "lockstep/primary/epoch_sender.h"
#include "lockstep/primary/primary_options.h"
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
          permit(parts.permit),
          epochs(*channel, parts.source, parts.gate, parts.permit),
          verifier(parts.source, host, verify_patience),
          protection(*channel, epochs, verifier, parts, host) {}
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    // The peer is a backup: its lifeline begins. An error is this host's.
    Result<void> join(const JoinMessage& join, const PrimaryOptions& options, PrimaryHost& host) {
        detector = FailureDetector(options.lost_after, host.now());
        lifeline.expect(options.lost_after, host.now());
        permit.begin_session({options.permit});
        const auto lost = [this, &host](const std::string& why) { lifeline.gone(why, host.now()); };
        lifeline.made(FMVM_TRY(host.join(peer, join,
                                         {.interval = options.heartbeat,
                                          .role = Heartbeat::Role::answers,
                                          .half = permit,
                                          .lost = lost})));
        return {};
    }

    // Without room no bulk data is sent. The channel says when it has drained.
    bool has_room() const { return channel->queued_bytes() < channel_high_water; }
    // Why the peer counts as lost now, if it does: one sentence.
    std::optional<std::string> lost(TimePoint now) {
        if (detector.is_lost(now, channel->last_heard()))
            return "nothing was heard of it for too long";
        if (auto why = lifeline.lost(now)) return why;
        if (protection.in_step_since()) return std::nullopt;
        if (!progress.stalls(now, channel->queued_bytes(), !has_room())) return std::nullopt;
        unfit = true;
        return "it takes nothing of the initial copy";
    }
    // When lost() is to be asked next.
    TimePoint next_look() const {
        return std::min(
            {detector.next_look(channel->last_heard()), progress.deadline(), lifeline.deadline()});
    }
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
    PairPermit& permit;
    LifelineWatch lifeline;
    CopyProgress progress;
    EpochSender epochs;
    Verifier verifier;
    Protection protection;
    bool unfit = false;  // the backup has said that it cannot be one
};

}  // namespace fmvm::lockstep
