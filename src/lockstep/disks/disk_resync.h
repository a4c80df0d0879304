// SPDX-License-Identifier: Apache-2.0
// Makes all disks of a backup equal to this side's, over one connection, while the guest runs: the
// primary's part (replay/resync/resync_source.h, one for each disk).
//
// A disk, by its source:
//
//     unnamed --the backup's `disk_known` of all disks--> named --`disk_ready`, chunks,
//     answers--> equal
//
// Threads: the replication thread.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/disks/serial_teller.h"
#include "lockstep/wire/messages.h"
#include "lockstep/wire/outgoing_message.h"
#include "replay/resync/resync_source.h"

namespace fmvm::lockstep {

class DiskResync {
  public:
    struct Disk {
        replay::DirtyBlockMap* map;
        replay::ImageBlocks* image;
    };
    // In the order of --disk; all outlive this.
    explicit DiskResync(std::vector<Disk> disks);

    // A message of the backup about its disks; after the resync, too, about their serials.
    Result<void> message(const Frame& frame);
    // The next answer to the backup; empty when there is none.
    OutgoingMessage next_answer();
    // What the backup does not know yet of this side's serials; empty when there is nothing.
    OutgoingMessage next_serial() { return serials_.next(); }
    // The backup has named all of its disks, and each image's label here says that it is being made
    // equal. An error when the backup takes too long.
    Result<bool> is_named() const;
    // Answers with the next digests of blocks that may differ, unless enough are on their way or
    // none are left. Only while no request of the guest is in flight that the block log will miss.
    Result<void> read_digests();
    // Every block was found equal or was copied, and the backup has all answers.
    bool finished() const { return answers_.empty() && all_compared(); }
    // The backup owes an answer: a label that is to be ready, or a chunk that is on its way.
    bool awaits_answer() const;
    // For people.
    std::string progress() const;

  private:
    using Clock = std::chrono::steady_clock;
    Result<void> handle(const Frame& frame);
    Result<void> known(replay::KnownMessage message);
    Result<void> begin();
    Result<void> ready(const replay::ReadyMessage& message);
    Result<void> wanted(const replay::WantedMessage& message);
    Result<void> serial(const replay::SerialMessage& message);
    Result<replay::ResyncSource*> source(std::uint8_t disk);
    bool all_named() const;
    bool all_compared() const;
    replay::ResyncProgress total() const;
    double seconds() const;  // since the beginning
    void tell_if_compared();
    template <typename Message>
    void answer(FrameType type, const Message& message) {
        answers_.push_back({type, message.encode()});
    }

    const std::vector<Disk> disks_;
    std::vector<std::optional<replay::KnownMessage>> known_;      // what the backup said of its own
    std::vector<std::unique_ptr<replay::ResyncSource>> sources_;  // null: unnamed
    std::deque<OutgoingMessage> answers_;
    SerialTeller serials_;
    const Clock::time_point began_ = Clock::now();
    Clock::time_point named_last_ = began_;  // when a disk was named last
    bool told_ = false;                      // that the disks are equal
};

}  // namespace fmvm::lockstep
