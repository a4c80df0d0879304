// SPDX-License-Identifier: Apache-2.0
// What a checkpoint needs of disks of which the backup has its own: they are made equal while the
// guest runs, then each epoch has a block log. The machine's disks: mirrored_disks.h; a machine
// without such disks: no_disks.h.
//
// Life, as that of a CheckpointSource: begin(), next_initial() until may_cut(), then for each epoch
// close(), apply_reference_rule(), next_message() until it yields nothing more, and at last end().
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

    // There are such disks.
    virtual bool any() const = 0;

    // Protection begins. While the guest stands.
    virtual Result<void> begin() = 0;
    // The next message to send while the guest runs: about a part of a disk, or what the guest
    // changed since; empty when there is none now.
    virtual Result<OutgoingMessage> next_initial() = 0;
    // What is left of changes of which the backup has got a part; empty when nothing is.
    virtual OutgoingMessage rest_of_initial() = 0;
    // The backup's disks are equal but for what next_initial() and the first cut still bring.
    virtual bool equal() const = 0;
    // They are equal, and the log has every request that the first cut could find in flight.
    virtual bool may_cut() const = 0;
    // No request of the guest is in flight.
    virtual bool is_idle() const = 0;
    // How far next_initial() is, for people.
    virtual std::string progress() const = 0;
    // The backup owes an answer about its disks.
    virtual bool awaits_backup() const = 0;
    // A message of the backup about its disks.
    virtual Result<void> message(const Frame& frame) = 0;

    // At the cut of `epoch`, while the guest stands.
    virtual void close(EpochId epoch) = 0;
    // Beside the guest, before anything of the cut is sent: which bytes of the epoch's block log
    // travel, and which the backup takes from its own disks and RAM (reference_rule.h).
    virtual void apply_reference_rule(const replay::CutPages& pages) = 0;
    // What the rule made of the last cut.
    virtual const replay::BlockCounts& counts() const = 0;
    // Pages that reads fill on the backup; ascending. They need not travel. They have changed,
    // though the dirty set may lack them. Valid until the first next_message().
    virtual std::span<const PageIndex> filled() const = 0;
    // The next message of the last cut; empty when there is none left.
    virtual OutgoingMessage next_message(EpochId epoch) = 0;
    // The backup has committed this epoch: the next one that was not committed.
    virtual void committed(EpochId epoch) = 0;
    // The log wants to be emptied by a cut. The handler is called on the loop thread when that
    // begins; set while the loop stands.
    virtual bool under_pressure() const = 0;
    virtual void on_pressure(std::function<void()> handler) = 0;

    // From the first cut on: begins to compare all of the disks, at most so fast. The scrubber is
    // there until end_scrub() or end(). Null: there are no disks.
    virtual replay::Scrubber* begin_scrub(std::uint64_t bytes_per_second) = 0;
    virtual void end_scrub() = 0;

    // The guest runs on under another generation.
    virtual void generation_changed(Generation generation) = 0;
    // Protection is over. Also after a begin() that failed, or that was never called.
    virtual void end() = 0;
};

}  // namespace fmvm::lockstep
