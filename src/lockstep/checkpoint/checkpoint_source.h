// SPDX-License-Identifier: Apache-2.0
// Where the primary's state machine gets checkpoints from: the machine (checkpointer.h), or a toy
// in the simulation.
//
// Life: begin(), then next_initial() until initial_done(), then for each epoch cut() and
// next_message() until it yields nothing more, and at last end(), also after an error. Then begin()
// may come again.
//
// Threads: the replication thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "lockstep/output/console_gate.h"
#include "lockstep/wire/messages.h"
#include "lockstep/wire/outgoing_message.h"
#include "lockstep/wire/packet_message.h"
#include "replay/record/reference_rule.h"
#include "replay/scrub/scrubber.h"

namespace fmvm::lockstep {

// What a cut did, and how long each part of it took while the guest stood.
struct CutReport {
    using Duration = std::chrono::steady_clock::duration;
    Duration stop{};    // until vCPUs and devices stood
    Duration dirty{};   // taking the dirty set and watching it anew
    Duration copy{};    // copying pages to the staging area
    Duration state{};   // vCPU, chip and device state
    Duration digest{};  // verify mode only
    Duration stood{};   // all of it: how long the guest did not run
    std::uint64_t pages_found = 0;
    std::uint64_t pages_new = 0;  // of those, not written in the epochs just before
};

// How the pages of a checkpoint travelled.
struct PageCounts {
    std::uint64_t records = 0;
    std::uint64_t zero = 0;
    std::uint64_t delta = 0;
    std::uint64_t lz4 = 0;
    std::uint64_t unchanged = 0;  // copied and compared, not sent
    std::uint64_t filled = 0;     // read from its own disk by the backup, not sent
};

class CheckpointSource {
  public:
    virtual ~CheckpointSource() = default;

    // Protection begins: all of RAM is to be sent, and disks are to be made equal.
    virtual Result<void> begin() = 0;
    // The guest runs. The next message of the initial copy, for epoch 1; empty when there is none
    // now: because it is done, or waits for the backup or for a request of the guest.
    virtual Result<OutgoingMessage> next_initial() = 0;
    // What is left is little enough for a cut.
    virtual bool initial_done() const = 0;
    // How far the initial copy is, for people.
    virtual std::string initial_progress() const = 0;
    // The backup owes an answer about its disks.
    virtual bool awaits_backup() const = 0;
    // A message of the backup about its disks.
    virtual Result<void> disk_message(const Frame& frame) = 0;

    // Stops the guest, captures everything, and lets it go on, unless `stay_stopped`.
    virtual Result<void> cut(EpochId epoch, bool stay_stopped) = 0;
    // The next message of the last cut; empty when there is none left.
    virtual OutgoingMessage next_message() = 0;
    // Of the last cut:
    virtual const std::vector<std::uint8_t>& state() const = 0;  // an encoded StateImage
    virtual const ConsoleGate::EpochOutput& output() const = 0;
    // Of each page and, behind them, of the state; or none.
    virtual const std::vector<std::uint64_t>& digests() const = 0;
    virtual const CutReport& report() const = 0;
    virtual const PageCounts& counts() const = 0;
    // Of disks that the backup has too.
    virtual replay::BlockCounts block_counts() const = 0;

    // The next cut has digests.
    virtual void digest_next() = 0;
    // Begins to compare disks of which the backup has its own; until end_scrub() or end(). Null:
    // there are none.
    virtual replay::Scrubber* begin_scrub(std::uint64_t bytes_per_second) = 0;
    virtual void end_scrub() = 0;

    // The backup has committed the cut of `epoch`: output that the source itself holds may go.
    virtual void committed(EpochId epoch) = 0;
    // Packets from outside that the backup does not know yet, the oldest first; while the guest
    // stands for good, also what has come in since.
    virtual std::vector<PacketMessage> take_packets() { return {}; }
    // The guest has ended: its devices take what it left for them. True when nothing that it asked
    // of disks that the backup has too is on its way any more.
    virtual bool finish_last_requests() = 0;
    // Since when such output has been waiting that no cut has taken; nothing when there is none.
    virtual std::optional<std::chrono::steady_clock::time_point> waiting_since() const = 0;

    // After a cut with stay_stopped of which everything is sent, or nothing more will be. Without
    // effect when the guest runs.
    virtual void resume() = 0;
    // The same while the rest is still to be sent: the guest runs as soon as that allows it.
    virtual void go_on() = 0;
    // Protection is over: the guest runs on unwatched.
    virtual void end() = 0;
};

}  // namespace fmvm::lockstep
