// SPDX-License-Identifier: Apache-2.0
// The disks of a machine that runs a protected guest, of which the backup has its own.
//
// At every instant the maps of both sides cover all in which the two may differ. A block is marked
// before the guest's change goes to the disk (TrackingBackend). It is cleared when the epoch that
// changed it is committed, unless a later epoch has changed it again.
//
// Threads: the replication thread; before the service starts and after it has stopped the
// controlling one.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "lockstep/arbiter/generation.h"
#include "lockstep/disks/disk_resync.h"
#include "lockstep/disks/epoch_blocks.h"
#include "lockstep/disks/primary_disks.h"
#include "replay/archive/epoch_recorder.h"

namespace fmvm::lockstep {

class MirroredDisks : public PrimaryDisks {
  public:
    struct Disk {
        replay::DirtyBlockMap* map = nullptr;  // outlives this
        std::unique_ptr<replay::ImageBlocks> image;
    };
    // disks: in the order of --disk, at least one. recorder: told of cuts and commits; may be null.
    // Log, memory and recorder outlive this.
    MirroredDisks(replay::BlockLog& log, const GuestMemory& memory, std::vector<Disk> disks,
                  replay::PayloadMode mode, replay::EpochRecorder* recorder);

    // The guest runs on these disks under this generation; durable when it returns.
    Result<void> run_under(const VmId& vm, Generation generation);
    // The guest has ended, and nothing is in flight: others may use the disks again.
    Result<void> release();

    bool any() const override { return true; }
    Result<void> begin() override;
    Result<OutgoingMessage> next_initial() override;
    OutgoingMessage rest_of_initial() override;
    bool equal() const override { return resync_ && resync_->finished(); }
    bool may_cut() const override { return equal() && blocks_.may_cut(); }
    bool is_idle() const override { return blocks_.is_idle(); }
    std::string progress() const override;
    bool awaits_backup() const override;
    Result<void> message(const Frame& frame) override;
    void close(EpochId epoch) override;
    void apply_reference_rule(const replay::CutPages& pages) override {
        blocks_.apply_reference_rule(pages);
    }
    const replay::BlockCounts& counts() const override { return blocks_.counts(); }
    std::span<const PageIndex> filled() const override { return blocks_.filled(); }
    OutgoingMessage next_message(EpochId epoch) override;
    void committed(EpochId epoch) override;
    bool under_pressure() const override { return blocks_.under_pressure(); }
    void on_pressure(std::function<void()> handler) override {
        blocks_.on_pressure(std::move(handler));
    }
    replay::Scrubber* begin_scrub(std::uint64_t bytes_per_second) override;
    void end_scrub() override;
    void generation_changed(Generation generation) override;
    void end() override;

  private:
    struct EpochChanges {
        EpochId epoch = 0;
        std::vector<replay::BlockRuns> blocks;  // of each disk
    };
    Result<OutgoingMessage> next_digests();
    OutgoingMessage next_mirrored();
    void clear_committed(EpochChanges changes);

    EpochBlocks blocks_;
    std::vector<Disk> disks_;
    replay::EpochRecorder* const recorder_;
    std::optional<DiskResync> resync_;  // from begin() to end()
    bool digests_turn_ = false;         // the last initial message was of what the guest changed
    std::deque<EpochChanges> uncommitted_;  // of the epochs that were cut, in their order
    EpochId cut_last_ = 0;                  // 0: none since begin()
    std::optional<replay::Scrubber> scrubber_;
    std::uint64_t next_check_ = 1;  // of this connection, while there is no scrubber
};

}  // namespace fmvm::lockstep
