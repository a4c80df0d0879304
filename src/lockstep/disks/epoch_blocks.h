// SPDX-License-Identifier: Apache-2.0
// The disks' part of a checkpoint: the block log of an epoch, by reference or by value, packed into
// `block_log` bodies. Until the first cut: the guest's changes, mirrored to a backup whose disks
// are being made equal.
//
//     off --begin()--> mirroring --close()--> closed --apply_reference_rule()--> sending
//                                               ^                                   |
//                                               +------ close(), all is sent -------+
//
// end() leads to `off` from anywhere.
//
// Threads: the replication thread.
#pragma once

#include <functional>
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
    // The log has every request that the first cut could find in flight.
    bool may_cut() const { return log_.all_captured(); }
    // What the guest changed since the last call, as a body of epoch 1; empty when nothing.
    GatheredBody next_mirrored();
    // What is left of changes of which a part was sent; they would be lost at the first cut.
    GatheredBody rest_of_mirrored();

    // At a cut, while the guest stands. All of the cut before was sent.
    void close();
    // Beside the guest, before any page of the cut is sent.
    void apply_reference_rule(const replay::CutPages& pages);
    // What the rule made of the last cut.
    const replay::BlockCounts& counts() const { return counts_; }
    // Pages that reads fill on the backup; ascending. Valid until the first next_body().
    std::span<const PageIndex> filled() const;
    // The next body of the last cut; empty when there is none left.
    GatheredBody next_body(EpochId epoch);
    // No request of the guest is in flight.
    bool is_idle() const { return log_.is_idle(); }

    // A cut would make room in the log.
    bool under_pressure() const { return log_.under_pressure(); }
    void on_pressure(std::function<void()> handler) { log_.on_pressure(std::move(handler)); }

    void end();

  private:
    enum class State { off, mirroring, closed, sending };
    void set_outgoing(replay::OutgoingRecords records);
    GatheredBody pack(EpochId epoch);

    replay::BlockLog& log_;
    const GuestMemory& memory_;
    const replay::PayloadMode mode_;
    State state_ = State::off;
    bool first_cut_ = false;  // the last cut was the first
    replay::BlockLog::Epoch closed_;
    std::shared_ptr<replay::OutgoingRecords> outgoing_;  // shared with bodies on their way
    std::size_t next_record_ = 0;                        // of outgoing_
    replay::BlockCounts counts_;
};

}  // namespace fmvm::lockstep
