// SPDX-License-Identifier: Apache-2.0
// The disks of a backup that has its own: made equal to the primary's first, then kept equal by
// carrying out the block log of each epoch. Those of a machine are in standby_disks.h.
//
// An error of any call means that these disks are not, or will not be, equal to the primary's.
//
// Threads: the replication thread.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "lockstep/wire/outgoing_message.h"
#include "replay/record/block_record.h"
#include "replay/resync/resync_messages.h"
#include "replay/scrub/scrub_messages.h"

namespace fmvm::lockstep {

class ShadowDisks {
  public:
    virtual ~ShadowDisks() = default;

    // What this side knows of its disks: the first messages to the primary.
    virtual std::vector<OutgoingMessage> known() = 0;
    // A message of the primary that makes the disks equal; the answers to it.
    virtual Result<std::vector<OutgoingMessage>> message(const Frame& frame) = 0;
    // All that may have differed was compared and, where it did, copied.
    virtual bool equal() const = 0;
    // The first epoch is being committed: from now on this side could take over. Once, when the
    // disks are equal.
    virtual Result<void> follow() = 0;

    // Whether a record fits these disks; before anything of its epoch is committed.
    virtual Result<void> check(const replay::BlockRecord& record) const = 0;
    // The primary has told a serial (replay/image/pair_progress.h).
    virtual Result<void> hear_serial(const replay::SerialMessage& message) = 0;
    // An epoch has come whole, before anything is marked or forgotten because of it.
    virtual void hear_commit() = 0;
    // Before an epoch with these records is acknowledged: until they have been replayed, the disks
    // may differ there, whoever dies.
    virtual Result<void> mark(std::span<const replay::BlockRecord> records) = 0;
    // An epoch is committed, and all of its records are marked: its acknowledgement is what the
    // primary hears next, behind these messages.
    virtual std::vector<OutgoingMessage> acknowledge() = 0;
    // Carries the records out. The guest RAM that they refer to is that of their epoch.
    virtual Result<void> replay(std::span<const replay::BlockRecord> records) = 0;
    // Whether all that was replayed is done with, flushes too; does not wait. An error as soon as
    // it is known that something of it has failed.
    virtual Result<bool> idle() = 0;
    // This side gives its copy up: whether nothing is in flight on the disks any more, so that they
    // can be destroyed without waiting; does not wait. A disk that turns out to have failed, or
    // does not answer in time, is not trusted any more.
    virtual bool at_rest() = 0;
    // Whether a check fits these disks.
    virtual Result<void> check(const replay::CheckMessage& message) const = 0;
    // An error unless these blocks are as the primary says. Everything was replayed.
    virtual Result<void> compare(const replay::CheckMessage& message) = 0;
    // What was replayed is on stable storage when it returns.
    virtual Result<void> sync() = 0;
    // The guest has ended on the primary, and all was replayed: others may use the disks again.
    virtual Result<void> release() = 0;
};

}  // namespace fmvm::lockstep
