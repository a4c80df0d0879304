// SPDX-License-Identifier: Apache-2.0
// The backup's copy of the guest: what was committed, and the epoch that is on its way.
//
// Messages of an epoch are staged until its commit proves that nothing is missing
// (staged_epoch.h). Then the epoch is committed, all at once, and applied to the RAM of the machine
// that waits. Whatever happens in between, the last committed epoch is intact. Pages and block logs
// of the initial copy, before anything is committed, are applied as they come.
//
//     empty --first commit--> committed --apply()--> applied
//                                  ^                    |
//                                  +------ commit ------+
//
// The block log of an epoch is carried out after its pages were applied, because it refers to them.
//
// Threads: the replication thread.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "base/result.h"
#include "lockstep/backup/staged_epoch.h"
#include "lockstep/disks/shadow_disks.h"
#include "lockstep/input/packets_ahead.h"

namespace fmvm::lockstep {

// The RAM that pages are applied to; each page is aligned to 16 bytes (stream_bytes()).
class ShadowRam {
  public:
    virtual ~ShadowRam() = default;
    virtual std::uint64_t page_count() const = 0;
    virtual std::span<std::uint8_t, page_size> page(PageIndex index) = 0;
};

class Shadow {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    // `ram` holds zeroes. `disks`: this side's own disks, or null if it has none. Both outlive
    // this.
    explicit Shadow(ShadowRam& ram, ShadowDisks* disks = nullptr);

    // Each takes a message of the epoch under way. An error means that the peer breaks the
    // protocol, or (disks_failed()) that this side's disks fail.
    Result<void> stage_pages(Frame frame);
    Result<void> stage_block_log(Frame frame);
    // The disks take it at once: it is true whatever becomes of the epoch.
    Result<void> stage_disk_serial(const Frame& frame);
    Result<void> stage_state(const Frame& frame, TimePoint received);
    Result<void> stage_output(const Frame& frame);
    Result<void> stage_digests(const Frame& frame);
    // A packet that a card has taken from outside, in whichever epoch.
    Result<void> keep_packet(PacketMessage message) { return packets_.add(std::move(message)); }
    // Makes the staged epoch the committed one. The epoch before is applied already; apply() is
    // called next.
    Result<void> commit(const CommitMessage& commit);
    // Brings RAM and disks up to the committed epoch. An error means that this side is no longer
    // equal to the primary, and must not take over.
    Result<void> apply();
    // After apply(): what the disks hold is on stable storage.
    Result<void> sync() { return disks_ == nullptr ? Result<void>{} : disks_->sync(); }

    // Whether all that was replayed is done with, flushes too; does not wait. An error like that of
    // apply(), when something of it has failed.
    Result<bool> disks_idle() { return disks_ == nullptr ? Result<bool>(true) : disks_->idle(); }
    // This copy is given up: whether its disks have let go of it (ShadowDisks::at_rest()).
    bool disks_at_rest() { return disks_ == nullptr || disks_->at_rest(); }
    // The last commit() failed because of this side's disks, not of what the peer sent.
    bool disks_failed() const { return disks_failed_; }

    EpochId committed() const { return committed_; }  // 0: nothing yet
    // RAM and disks are those of the committed epoch.
    bool is_applied() const { return !unapplied_; }
    const std::vector<std::uint8_t>& state() const { return state_; }
    // When its epoch began to arrive: its guest stood a little earlier.
    TimePoint state_received() const { return state_received_; }
    // The state image of the epoch under way; empty until it has come.
    std::span<const std::uint8_t> staged_state() const;

    // Committed console output that the primary may not have shown.
    struct Tail {
        std::uint64_t position = 0;  // of the first byte
        std::vector<std::uint8_t> bytes;
    };
    const Tail& tail() const { return tail_; }
    // What the primary's network cards have taken from outside lately.
    const PacketsAhead& packets() const { return packets_; }
    // The primary has shown everything before `position`.
    void shown(std::uint64_t position);

    static constexpr std::size_t tail_bytes_max = 8 * mib;

  private:
    void check_invariants() const;
    Result<void> check_epoch(EpochId epoch) const;
    std::optional<std::uint64_t> tail_end() const;
    Result<void> prepare_disks();
    void append_output(const ReceivedOutput& output);
    Result<void> verify(const std::vector<std::uint64_t>& digests) const;

    ShadowRam& ram_;
    ShadowDisks* const disks_;
    bool disks_failed_ = false;

    EpochId committed_ = 0;
    std::vector<std::uint8_t> state_;
    TimePoint state_received_;
    Tail tail_;
    PacketsAhead packets_;

    StagedEpoch staged_;
    std::optional<StagedEpoch> unapplied_;  // committed; its pages and logs are still to be applied
};

}  // namespace fmvm::lockstep
