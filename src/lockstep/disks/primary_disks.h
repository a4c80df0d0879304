// SPDX-License-Identifier: Apache-2.0
// What a checkpoint needs of disks of which the backup has its own: making them equal while the
// guest runs, then the block log of each epoch. The machine's disks: mirrored_disks.h.
//
// Life as CheckpointSource: begin(), next_initial() until initial_done(), then for each epoch
// close(), decide(), next_piece() until it yields nothing more, and at last end().
//
// Threads: the replication thread.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "lockstep/wire/messages.h"
#include "lockstep/wire/outgoing_message.h"
#include "replay/record/reference_rule.h"
#include "replay/scrub/scrubber.h"

namespace fmvm::lockstep {

class PrimaryDisks {
  public:
    virtual ~PrimaryDisks() = default;

    // Protection begins. While the guest stands.
    virtual Result<void> begin() = 0;
    // The next message to send while the guest runs: a piece of a disk, or what the guest changed
    // since; empty when there is none now.
    virtual Result<OutgoingMessage> next_initial() = 0;
    // What is left of changes of which the backup has got a part; empty when nothing is.
    virtual OutgoingMessage rest_of_initial() = 0;
    // The backup's disks are equal but for what next_initial() and the first cut still bring.
    virtual bool equal() const = 0;
    // Nothing that the first cut could find in flight would escape the log.
    virtual bool may_cut() const = 0;
    // Nothing that the guest asked for is on its way.
    virtual bool settled() const = 0;
    virtual std::string progress() const = 0;
    virtual Result<void> message(const Frame& frame) = 0;

    // At a cut, while the guest stands.
    virtual void close(EpochId epoch) = 0;
    // Beside the guest, before anything of the cut is sent.
    virtual void decide(const replay::StagedPages& staged) = 0;
    // What was decided for the last cut.
    virtual const replay::BlockCounts& counts() const = 0;
    // Pages that reads fill on the backup; ascending. They need not travel, and those of them that
    // are in no dirty set have nevertheless changed. Until the first next_piece().
    virtual std::span<const PageIndex> filled() const = 0;
    virtual OutgoingMessage next_piece(EpochId epoch) = 0;
    virtual void committed(EpochId epoch) = 0;
    // The log wants to be emptied by a cut. The handler is called on the loop thread when that
    // begins; set while the loop stands.
    virtual bool under_pressure() const = 0;
    virtual void on_pressure(std::function<void()> handler) = 0;

    // From the first cut on: begins to compare all of the disks, at most so fast. It is here until
    // end_scrub() or end().
    virtual replay::Scrubber& begin_scrub(std::uint64_t bytes_per_second) = 0;
    virtual void end_scrub() = 0;

    // The guest runs on under another generation.
    virtual void generation_changed(Generation generation) = 0;
    virtual void end() = 0;
};

}  // namespace fmvm::lockstep
