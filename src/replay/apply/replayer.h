// SPDX-License-Identifier: Apache-2.0
// Carries out block records on disks of this side: in order where order matters, side by side
// otherwise, every payload verified.
//
// Records wait for those in flight that overlap them on the disk (one of both a change), and for
// reads that fill guest pages which they write from. Flushes of one call are carried out once, at
// its end, as nobody uses these disks between two epochs (disk_flush.h). discard is carried out as
// write zeroes, so that a file system that cannot punch holes holds the same bytes all the same.
//
// An error (mismatch, I/O error, no answer for too long) means that this side is not equal any
// more; afterwards the replayer refuses all further work.
//
// Threads: one at a time; it drives the backends itself, so their loop must not run meanwhile.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include "replay/record/block_record.h"

namespace fmvm::replay {

class Replayer {
  public:
    static constexpr std::chrono::seconds answer_max{10};

    // Disks in order; memory (may be null: see check_record) and backends outlive this, and the
    // backends are idle when it goes.
    Replayer(GuestMemory* memory, std::vector<BlockBackend*> disks,
             std::chrono::milliseconds answer_limit = answer_max);
    // Waits for what is in flight, but not for a disk that was given up. An owner that must not
    // wait destroys a replayer only when it is idle.
    ~Replayer();

    // Whether a record fits; before anything of its epoch is carried out.
    Result<void> check(const BlockRecord& record) const;
    // All reads and writes are complete when it returns; a flush may still be in flight.
    Result<void> replay(std::span<const BlockRecord> records);
    // Everything is on stable storage when it returns, and nothing in flight.
    Result<void> sync();
    // Takes what the disks have answered, without waiting, and begins a flush that waited for
    // another. An error as soon as a failure is known; a flush may take as long as it likes.
    Result<void> poll();
    // The same, but a flush that is not done within the answer limit is a failure.
    Result<void> poll_in_time();
    // Nothing is in flight.
    bool is_idle() const;
    // The only failure is a flush that was not done in time; all else was carried out.
    bool gave_up_on_flush() const;
    // Nothing is in flight when it returns.
    Result<void> wait_all();

  private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace fmvm::replay
