// SPDX-License-Identifier: Apache-2.0
// The primary's part in comparing its disks with the backup's while the guest runs and writes: the
// blocks of all disks, one after the other, each as it was at a cut.
//
// A block is as it was at the last cut when no change of it was in flight then, and none has begun
// since. DirtyBlockMap::is_touched() tells that, because take_touched() is called at each cut, and
// mark() before a change goes to the disk. So a block is read beside the running guest, and whether
// it was touched is looked up after that.
//
// The states of a block:
//
//     left --next() reads it, and it was not touched--> on its way --on_checked()--> equal
//     | ^                                                   ^
//     | |  cut(), the next one                              |  next() sends it
//     v |                                                   |
//     held -------------------------------------------------+
//
//   - left: to be compared. A block that was touched stays so until a later pass.
//   - held: cut() has read it while the guest stood. A block that the guest writes all the time
//     would never be met untouched. Therefore, from the second pass on, each cut reads one block
//     (it is in the page cache; some 30 us). The next cut makes what was read worthless.
//   - on its way: a check with its digest was sent. A limited number of blocks are so at a time.
//   - equal: the backup has said so.
//
// No sockets, clocks or threads: time comes in as arguments. The caller's thread is the one that
// calls take_touched(). An error means that a disk of this side cannot be read.
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
    // Every block is equal.
    bool finished() const { return equal_count_ == block_count_; }
    const ScrubProgress& progress() const { return progress_; }
    std::uint64_t blocks_left() const { return left_count_; }
    // No block is on its way.
    bool all_answered() const { return unanswered_.empty(); }
    std::uint64_t next_number() const { return next_number_; }

    static constexpr std::size_t blocks_at_a_time = 4;
    // What the backup reads for us delays what we send behind it.
    static constexpr std::size_t blocks_on_way_max = 16;

  private:
    struct Place {
        std::size_t disk = 0;
        BlockIndex block = 0;
    };
    struct Unanswered {
        std::uint64_t number = 0;  // of the check
        std::size_t blocks = 0;
        std::uint64_t bytes = 0;
    };
    std::optional<Place> find_left(Place from) const;
    std::optional<Place> next_place();
    bool is_touched(const Place& place) const;
    // The digest of a block that was not touched before and after it was read.
    Result<std::optional<std::uint64_t>> digest(const Place& place);
    // The block is not left any more: the message has it.
    void move_to(CheckMessage& message, const Place& place, std::uint64_t digest);
    void put_back(const CheckMessage& message);
    CheckMessage send(CheckMessage message, std::uint64_t epoch);
    void pay(std::uint64_t bytes, TimePoint now);
    // Every block that is left was found touched since the last cut.
    bool all_touched() const { return touched_in_row_ >= left_count_; }
    void check_states() const;

    const std::vector<Disk> disks_;
    const double bytes_per_second_;
    std::vector<BlockSet> left_;  // of each disk
    std::uint64_t block_count_ = 0;
    std::uint64_t left_count_ = 0;
    std::uint64_t on_way_count_ = 0;
    std::uint64_t equal_count_ = 0;
    Place look_from_;                   // next() goes on here
    bool first_pass_ = true;            // next() has not come to the end of the disks yet
    std::uint64_t touched_in_row_ = 0;  // blocks that next() has found touched since the last cut
    Place cut_looks_from_;              // cut() goes on here
    CheckMessage held_;
    std::optional<Error> failure_;  // of cut(), for next() to tell
    TimePoint due_;
    const std::uint64_t first_number_;
    std::uint64_t next_number_;
    std::deque<Unanswered> unanswered_;
    ScrubProgress progress_;
};

}  // namespace fmvm::replay
