// SPDX-License-Identifier: Apache-2.0
// Sends the epochs of one connection, and keeps account of those that the backup has not
// acknowledged.
//
// Each epoch begins with a cut. Its messages follow one at a time, so that others have their turn
// in between: pages and block log, then state, output and digests, and at last the commit. Until a
// commit is sent the backup has nothing that it could take over with.
//
// Threads: the replication thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <vector>

#include "base/result.h"
#include "lockstep/channel/channel.h"
#include "lockstep/checkpoint/checkpoint_source.h"
#include "lockstep/output/pair_permit.h"
#include "lockstep/stats/epoch_stats.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

// An epoch whose commit was sent.
struct SentEpoch {
    std::uint64_t output_end = 0;  // position behind its last console byte
    std::chrono::steady_clock::time_point cut_began;
    EpochRecord record;
};

class EpochSender {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    // One epoch is being acknowledged while the next one is sent.
    static constexpr std::size_t unacknowledged_max = 2;

    // All of them outlive this.
    EpochSender(Channel& channel, CheckpointSource& source, const ConsoleGate& gate,
                PairPermit& permit)
        : channel_(channel), source_(source), gate_(gate), permit_(permit) {}

    // Cuts the next epoch. Not while one is being sent.
    Result<void> cut(bool stay_stopped, TimePoint now);
    // Messages of the last cut are left to be sent.
    bool is_sending() const { return sending_; }
    // Sends the next message of the last cut, or all that is small together with the commit.
    void send_next();
    // The epoch that the backup has committed, in order; an error if it is not this one's turn.
    Result<SentEpoch> acknowledged(EpochId epoch);

    EpochId last_cut() const { return epoch_; }  // 0: none was made
    TimePoint last_cut_began() const { return cut_began_; }
    // From the first commit on the backup could take over.
    bool commit_sent() const { return commit_sent_; }
    std::size_t unacknowledged() const { return unacknowledged_.size(); }
    bool all_acknowledged() const { return !sending_ && unacknowledged_.empty(); }

  private:
    void send_state();
    void send_output();
    void send_digests();
    void send_commit();
    template <typename Message>
    void send_with_commit(const Message& message);
    void count(std::size_t body_bytes) { bytes_ += body_bytes + frame_header_size; }

    Channel& channel_;
    CheckpointSource& source_;
    const ConsoleGate& gate_;
    PairPermit& permit_;

    // The last cut:
    EpochId epoch_ = 0;
    bool sending_ = false;
    TimePoint cut_began_{};
    TimePoint::duration interval_{};  // since the cut before
    std::uint64_t digest_ = 0;        // of the bodies sent so far
    std::uint64_t bytes_ = 0;         // sent so far

    bool commit_sent_ = false;
    std::vector<std::uint8_t> state_sent_;  // the next state travels as its difference from this
    std::deque<SentEpoch> unacknowledged_;  // oldest first
};

}  // namespace fmvm::lockstep
