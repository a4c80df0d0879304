// SPDX-License-Identifier: Apache-2.0
// The backup's copy of the guest: what was committed, and the epoch that is being staged.
//
// Frames of an epoch are staged, whole and in memory, until its commit message proves that nothing
// is missing; then it is committed, all at once, and applied to the RAM of the machine that waits.
// Whatever happens in between, the last committed epoch is intact. The initial copy, before
// anything is committed, goes straight into that RAM.
//
// The block log of an epoch is carried out after its pages were applied, because it refers to them;
// while disks are being made equal, at once.
//
// Bounded: an epoch cannot hold more page records than there are pages, nor more than a certain
// block log.
//
// Threads: the replication thread.
#pragma once

#include <chrono>
#include <vector>

#include "base/result.h"
#include "lockstep/disks/shadow_disks.h"
#include "lockstep/wire/block_log_codec.h"
#include "lockstep/wire/messages.h"
#include "lockstep/wire/page_codec.h"

namespace fmvm::lockstep {

// The RAM that pages are applied to; each is aligned to 16 bytes (stream_bytes()).
class ShadowRam {
  public:
    virtual ~ShadowRam() = default;
    virtual std::uint64_t page_count() const = 0;
    virtual std::span<std::uint8_t, page_size> page(PageIndex index) = 0;
};

class Shadow {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    // RAM that holds zeroes. disks: this side's own; may be null. Both outlive this.
    explicit Shadow(ShadowRam& ram, ShadowDisks* disks = nullptr) : ram_(ram), disks_(disks) {}

    // A message of the epoch under way. An error means that the peer breaks the protocol.
    Result<void> stage_pages(Frame frame);
    Result<void> stage_block_log(Frame frame);
    Result<void> stage_state(const Frame& frame, TimePoint received);
    Result<void> stage_output(const Frame& frame);
    Result<void> stage_digests(const Frame& frame);
    // Makes the staged epoch the committed one. Afterwards apply() is called, at leisure.
    Result<void> commit(const CommitMessage& commit);
    // Brings RAM and disks up to the committed epoch. An error means that this side is no longer
    // equal to the primary, and must not take over.
    Result<void> apply();
    // After apply(): what the disks hold is on stable storage.
    Result<void> sync() { return disks_ == nullptr ? Result<void>{} : disks_->sync(); }

    // Whether all that was replayed is done with, flushes too; does not wait. An error like that of
    // apply(), when something of it has failed.
    Result<bool> disks_idle();

    EpochId committed() const { return committed_; }  // 0: nothing yet
    // The last commit() failed because of this side's disks, not of what the peer sent.
    bool disks_failed() const { return disks_failed_; }
    const std::vector<std::uint8_t>& state() const { return state_; }
    // When its epoch began to arrive: its guest stood a little earlier.
    TimePoint state_received() const { return state_received_; }
    // Of the epoch under way; empty when it has not come yet.
    const std::vector<std::uint8_t>& staged_state() const { return next_state_; }

    // Committed console output that the primary may not have shown.
    struct Tail {
        std::uint64_t position = 0;  // of the first byte
        std::vector<std::uint8_t> bytes;
    };
    const Tail& tail() const { return tail_; }
    // The primary has shown everything before `position`.
    void shown(std::uint64_t position);

    static constexpr std::size_t tail_bytes_max = 8 * mib;
    static constexpr std::size_t block_log_bytes_max = 256 * mib;  // of one epoch

  private:
    Result<void> check_epoch(EpochId epoch) const;
    void account(const Frame& frame);
    Result<void> verify() const;

    // A body that was checked, and its records, which point into it.
    struct StagedPages {
        Buffer body;
        PagesBody content;
    };

    struct StagedLog {
        Buffer body;
        BlockLogBody content;
    };
    Result<void> mark_disks();

    ShadowRam& ram_;
    ShadowDisks* const disks_;
    bool disks_failed_ = false;
    EpochId committed_ = 0;
    std::vector<std::uint8_t> state_;
    TimePoint state_received_;
    Tail tail_;

    // The epoch under way.
    std::vector<StagedPages> pages_;
    std::vector<StagedLog> log_;
    std::size_t log_bytes_ = 0;
    std::uint64_t records_ = 0;
    std::uint64_t digest_ = 0;
    std::vector<std::uint8_t> next_state_;
    TimePoint next_state_received_;
    bool has_state_ = false;
    std::vector<std::uint8_t> next_output_;
    std::uint64_t next_output_position_ = 0;
    std::vector<std::uint64_t> next_digests_;

    // Committed, not yet applied.
    std::vector<StagedPages> unapplied_;
    std::vector<StagedLog> unreplayed_;
    std::vector<std::uint64_t> unverified_;
};

}  // namespace fmvm::lockstep
