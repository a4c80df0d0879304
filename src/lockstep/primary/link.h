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
#include "lockstep/channel/peer_watch.h"
#include "lockstep/primary/epoch_sender.h"
#include "lockstep/primary/primary_options.h"
#include "lockstep/primary/protection.h"
#include "lockstep/primary/verifier.h"

namespace fmvm::lockstep {

struct Link {
    using TimePoint = std::chrono::steady_clock::time_point;
    // A backup builds a whole machine before it says welcome, and gives signs of life meanwhile.
    static constexpr std::chrono::seconds unknown_silence_max{5};
    static constexpr std::chrono::seconds welcome_max{30};
    // Until the first cut nothing holds the guest's output; what it changes on its disks waits in
    // memory that is limited.
    static constexpr std::chrono::seconds copy_patience{5};

    // Parts and host outlive this.
    Link(std::unique_ptr<Channel> to, const PrimaryParts& parts, const PrimaryOptions& options,
         PrimaryHost& host)
        : channel(std::move(to)),
          peer(channel->peer()),
          watch(*channel, "primary", PeerWatch::Unknown::may_be_silent, unknown_silence_max,
                host.now()),
          patience(getting_on_within(options.lost_after)),
          source(parts.source),
          permit(parts.permit),
          epochs(*channel, parts.source, parts.gate, parts.permit),
          verifier(parts.source, host, verify_patience(options)),
          protection(*channel, epochs, verifier, parts, host) {}
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    // The peer is a backup: its lifeline begins. An error is this host's.
    Result<void> join(const JoinMessage& join, const PrimaryOptions& options, PrimaryHost& host) {
        welcomed = true;
        watch.joined(options.lost_after, host.now());
        permit.begin_session({options.permit, longest_promise(options.lost_after)});
        const auto lost = [this, &host](const std::string& why) {
            watch.lifeline_gone(why, host.now());
        };
        watch.lifeline_made(FMVM_TRY(host.join(peer, join,
                                               {.interval = options.heartbeat,
                                                .role = Heartbeat::Role::answers,
                                                .half = permit,
                                                .lost = lost})));
        return {};
    }

    // Without room no bulk data is sent. The channel says when it has drained.
    bool has_room() const { return channel->queued_bytes() < channel_high_water; }
    // What the backup owes now.
    Debt debt() const {
        if (!welcomed) return {"its welcome", welcome_max};
        if (epochs.unacknowledged() != 0) return {"an acknowledgement", patience};
        if (epochs.last_cut() != 0) return {nullptr, patience};
        return {source.awaits_backup() ? "an answer about its disks" : nullptr,
                std::max<TimePoint::duration>(copy_patience, patience)};
    }
    // Why the peer counts as lost now, if it does: one sentence.
    std::optional<std::string> lost(TimePoint now) {
        auto why = watch.lost(debt(), now);
        // One that has never been in step holds the guest up each time that it is tried.
        if (why && watch.is_stuck() && !protection.in_step_since()) unfit = true;
        return why;
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
    PeerWatch watch;
    const TimePoint::duration patience;  // with a backup that holds the guest's output
    const CheckpointSource& source;
    PairPermit& permit;
    bool welcomed = false;
    EpochSender epochs;
    Verifier verifier;
    Protection protection;
    bool unfit = false;  // the backup has said that it cannot be one
};

}  // namespace fmvm::lockstep
