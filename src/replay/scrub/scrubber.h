// SPDX-License-Identifier: Apache-2.0
// The primary's part in comparing its disks with the backup's while the guest runs and writes: the
// blocks of all disks, one after the other, each as it was at a cut.
//
// A block is as it was at the last cut when no change of it was in flight then, and none has begun
// since: DirtyBlockMap::is_touched() knows, because take_touched() is called at each cut, and
// mark() before a change goes to the disk. So a block is read beside the running guest and looked
// up after that; one that was touched is left for a later pass. A block that the guest writes all
// the time would never be met untouched: once all others are done, one of them is read at each cut,
// while the guest stands (it is in the page cache; some 30 us).
//
// No sockets, clocks or threads: time comes in as arguments. The caller's thread is the one that
// calls take_touched(). Errors mean that a disk of this side cannot be read.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "replay/image/dirty_block_map.h"
#include "replay/image/image_blocks.h"
#include "replay/scrub/scrub_messages.h"

namespace fmvm::replay {

struct ScrubProgress {
    std::uint64_t bytes_total = 0;
    std::uint64_t bytes_equal = 0;  // the backup has said so
};

class Scrubber {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    struct Disk {
        const DirtyBlockMap* map;
        ImageBlocks* image;
    };
    // Disks in order; all outlive this. first_number: of the first check; higher than any that was
    // sent on this connection before.
    Scrubber(std::vector<Disk> disks, std::uint64_t bytes_per_second, std::uint64_t first_number,
             TimePoint now);

    // At a cut, after take_touched(), while the guest stands.
    void cut();
    // The next check, for the epoch that was cut last; nothing when none is due now. Reads up to
    // 256 KiB.
    Result<std::optional<CheckMessage>> next(std::uint64_t epoch, TimePoint now);
    // Answers to a scrubber before this one are no error.
    Result<void> on_checked(const CheckedMessage& message);

    // When next() may have something; max(): not before an answer or the next cut.
    TimePoint due() const;
    bool finished() const {
        return left_count_ == 0 && from_cut_.blocks.empty() && on_way_.empty();
    }
    const ScrubProgress& progress() const { return progress_; }
    // Blocks that were not met untouched yet, nor compared.
    std::uint64_t blocks_left() const { return left_count_; }
    // No check waits for its answer.
    bool all_answered() const { return on_way_.empty(); }
    std::uint64_t next_number() const { return next_number_; }

    static constexpr std::size_t blocks_at_a_time = 4;
    // What the backup reads for us delays what we send behind it.
    static constexpr std::size_t blocks_on_way_max = 16;

  private:
    struct Place {
        std::size_t disk = 0;
        BlockIndex block = 0;
    };
    struct OnWay {
        std::uint64_t number = 0;
        std::size_t blocks = 0;
        std::uint64_t bytes = 0;
    };
    std::optional<Place> find_left(Place from) const;
    std::optional<Place> next_place();
    bool is_touched(const Place& place) const;
    // The digest of a block that was not touched before and after it was read.
    Result<std::optional<std::uint64_t>> digest(const Place& place);
    void take(const Place& place, std::uint64_t digest, CheckMessage& message);
    void give_back(const CheckMessage& message);
    CheckMessage send(CheckMessage message, std::uint64_t epoch);
    void pay(std::uint64_t bytes, TimePoint now);
    bool all_tried() const { return tried_ >= left_count_; }

    const std::vector<Disk> disks_;
    const double bytes_per_second_;
    std::vector<BlockSet> left_;  // of each disk
    std::uint64_t left_count_ = 0;
    Place at_;                 // where to look for the next one
    bool first_pass_ = true;   // each block has not been looked at once
    std::uint64_t tried_ = 0;  // found touched since the last cut, in a row
    Place at_cut_;             // the same for cut()
    CheckMessage from_cut_;    // what the last cut has read; not sent yet
    std::optional<Error> failure_;
    TimePoint due_;
    const std::uint64_t first_number_;
    std::uint64_t next_number_;
    std::deque<OnWay> on_way_;
    std::size_t blocks_on_way_ = 0;
    ScrubProgress progress_;
};

}  // namespace fmvm::replay
