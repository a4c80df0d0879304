// SPDX-License-Identifier: Apache-2.0
// The disks' part of a checkpoint: what the block log of an epoch holds, by reference or by value,
// packed into `block_log` bodies; and, until the first cut, the guest's changes mirrored to a
// backup whose disks are being made equal.
//
// Threads: the replication thread.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "lockstep/wire/block_log_codec.h"
#include "replay/record/reference_rule.h"

namespace fmvm::lockstep {

class EpochBlocks {
  public:
    // Log and memory outlive this.
    EpochBlocks(replay::BlockLog& log, const GuestMemory& memory, replay::PayloadMode mode);

    // Protection begins: changes are mirrored from now on. While the guest stands.
    void begin();
    // Every request that the first cut could find in flight was taken since begin().
    bool may_cut() const { return log_.all_captured(); }
    // What the guest changed since the last call, as a body of epoch 1; empty when nothing.
    GatheredBody next_mirrored();
    // The same, of changes of which a part was sent. Empty before the first cut: they would be
    // lost.
    GatheredBody rest_of_mirrored() { return mirroring_ ? next_body(1) : GatheredBody(); }

    // At a cut, while the guest stands.
    void close();
    // Beside the guest, before any page of the cut is sent.
    void decide(const replay::StagedPages& staged);
    // What was decided for the last cut.
    const replay::BlockCounts& counts() const { return counts_; }
    // Pages that reads fill on the backup; ascending. Until the first next_body().
    std::span<const PageIndex> filled() const;
    // The next body of the last cut; empty when there is none left.
    GatheredBody next_body(EpochId epoch);
    // Nothing that the guest asked for is on its way.
    bool settled() const { return log_.is_idle(); }

    // A cut would make room in the log.
    bool under_pressure() const { return log_.under_pressure(); }
    void on_pressure(std::function<void()> handler) { log_.on_pressure(std::move(handler)); }

    void end();

  private:
    replay::BlockLog& log_;
    const GuestMemory& memory_;
    const replay::PayloadMode mode_;
    bool mirroring_ = false;
    bool first_cut_ = false;  // closed_ is that of the first cut
    replay::BlockLog::Epoch closed_;
    std::shared_ptr<replay::Decision> decision_;  // shared with bodies on their way
    replay::BlockCounts counts_;
    std::size_t next_record_ = 0;
};

}  // namespace fmvm::lockstep
