// SPDX-License-Identifier: Apache-2.0
// Carries out block records on disks of this side: in order where order matters, side by side
// otherwise, every payload verified.
//
// Records wait for those in flight that overlap them on the disk (one of both a change), and for
// reads that fill guest pages which they write from. Flushes of one call are carried out once, at
// its end: nobody uses these disks between two epochs. discard is carried out as write zeroes, so
// that a file system that cannot punch holes holds the same bytes all the same.
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
    ~Replayer();

    // Whether a record fits; before anything of its epoch is carried out.
    Result<void> check(const BlockRecord& record) const;
    // All reads and writes are complete when it returns; a flush may still be in flight.
    Result<void> replay(std::span<const BlockRecord> records);
    // Everything is on stable storage when it returns, and nothing in flight.
    Result<void> sync();
    // Takes what disks have answered and begins flushes that waited for another, without waiting:
    // so that a flush which fails is known of soon.
    Result<void> poll();
    bool is_idle() const;
    // The failure is that a flush has not ended in time; all else was carried out.
    bool gave_up_on_flush() const;
    // Nothing is in flight when it returns.
    Result<void> wait_all();
    // True when nothing is in flight; waits for that no longer than `limit`, and however long a
    // flush takes, it is no error.
    Result<bool> wait_idle(std::chrono::milliseconds limit);

  private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace fmvm::replay
