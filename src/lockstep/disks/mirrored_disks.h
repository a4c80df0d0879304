// SPDX-License-Identifier: Apache-2.0
// The disks of a machine that runs a protected guest, of which the backup has its own.
//
// At every instant the maps of both sides cover all in which the two may differ: a block is marked
// before the guest's change goes to the disk (TrackingBackend), and cleared when the epoch that
// changed it is committed, but for blocks that later epochs have changed again.
//
// Threads: the replication thread; before the service starts and after it has stopped the
// controlling one.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "lockstep/arbiter/generation.h"
#include "lockstep/disks/epoch_blocks.h"
#include "lockstep/disks/primary_disks.h"
#include "replay/archive/epoch_recorder.h"
#include "replay/resync/resync_source.h"

namespace fmvm::lockstep {

class MirroredDisks : public PrimaryDisks {
  public:
    struct Disk {
        replay::DirtyBlockMap* map = nullptr;  // outlives this
        std::unique_ptr<replay::ImageBlocks> image;
    };
    // In the order of --disk. Log and memory outlive this, and so does a recorder (may be null):
    // it is told of cuts and commits.
    MirroredDisks(replay::BlockLog& log, const GuestMemory& memory, std::vector<Disk> disks,
                  replay::PayloadMode mode, replay::EpochRecorder* recorder);

    // The guest runs on these disks under this generation; durable when it returns.
    Result<void> run_under(const VmId& vm, Generation generation);
    // The guest has ended, and nothing is in flight: others may use the disks again.
    Result<void> release();

    Result<void> begin() override;
    Result<OutgoingMessage> next_initial() override;
    OutgoingMessage rest_of_initial() override;
    bool equal() const override;
    bool may_cut() const override { return equal() && blocks_.may_cut(); }
    bool settled() const override { return blocks_.settled(); }
    std::string progress() const override;
    Result<void> message(const Frame& frame) override;
    void close(EpochId epoch) override;
    void decide(const replay::StagedPages& staged) override { blocks_.decide(staged); }
    const replay::BlockCounts& counts() const override { return blocks_.counts(); }
    std::span<const PageIndex> filled() const override { return blocks_.filled(); }
    OutgoingMessage next_piece(EpochId epoch) override;
    void committed(EpochId epoch) override;
    bool under_pressure() const override { return blocks_.under_pressure(); }
    void on_pressure(std::function<void()> handler) override {
        blocks_.on_pressure(std::move(handler));
    }
    replay::Scrubber& begin_scrub(std::uint64_t bytes_per_second) override;
    void end_scrub() override;
    void generation_changed(Generation generation) override;
    void end() override;

  private:
    struct EpochChanges {
        EpochId epoch = 0;
        std::vector<std::vector<replay::BlockIndex>> blocks;  // of each disk, ascending
    };
    OutgoingMessage next_mirrored();
    Result<OutgoingMessage> next_digests();
    Result<replay::ResyncSource*> source(std::uint8_t disk);
    Result<void> handle(const Frame& frame);
    Result<void> known(const replay::KnownMessage& message);
    Result<void> wanted(const replay::WantedMessage& message);
    bool compared() const;
    replay::ResyncProgress total() const;
    void tell_if_compared();
    template <typename Message>
    void queue(FrameType type, const Message& message) {
        outgoing_.push_back({type, message.encode()});
    }

    EpochBlocks blocks_;
    std::vector<Disk> disks_;
    replay::EpochRecorder* const recorder_;
    std::vector<std::unique_ptr<replay::ResyncSource>> sources_;  // of this connection
    std::deque<OutgoingMessage> outgoing_;
    std::deque<EpochChanges> changes_;  // of epochs cut and not committed
    std::optional<replay::Scrubber> scrubber_;
    std::uint64_t next_check_ = 1;  // of this connection, when there is no scrubber
    std::chrono::steady_clock::time_point began_{};
    std::chrono::steady_clock::time_point naming_began_{};  // or the last disk was named
    bool compare_next_ = false;  // the last piece was of what the guest changed
    bool told_ = false;          // that the disks of this connection are equal
};

}  // namespace fmvm::lockstep
