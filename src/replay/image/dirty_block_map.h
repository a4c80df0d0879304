// SPDX-License-Identifier: Apache-2.0
// Which blocks of a disk image may differ from those of the image at the other side. At every
// instant, whoever dies when, the union of both sides' maps covers all that differs.
//
// The life of a bit: mark() sets it before a change goes to the disk, end_change() says that the
// change is over. It stays until somebody knows that the other side has the same:
//
//   - epochs: take_touched() at each cut names what this epoch may have changed; when the epoch is
//     committed and applied, the caller gives that to clear(), without what a later epoch named.
//     What was marked since the latest take_touched(), or was in flight then, is not cleared: it
//     belongs to the next.
//   - resync: resynced() of each block found equal or copied, by the same rule. So take_touched()
//     is called when it begins, and what is written while it lasts is cleared by the first epoch.
//
// A block whose change failed stays until it was resynchronised: clear() leaves it alone.
//
// Process death: the bits are exact. Power loss: blocks of active regions (4 MiB) count as set. A
// region is made active durably before the first change goes to it (mark() waits for the disk
// then), and lazily inactive: when no bit of it is set and the image was synced since. So, now and
// then: begin_prune(), sync of the image, end_prune().
//
// Any thread may call; calls exclude each other.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "replay/image/block_set.h"
#include "replay/image/label_file.h"

namespace fmvm::replay {

class DirtyBlockMap {
  public:
    // The map beside an image of so many bytes, durable and usable from now on. Made anew, every
    // block dirty and without a pair, when there is none (`fresh`, in role clean), when it is
    // damaged (`fresh`, in role syncing: nobody may trust the image) or when the image has another
    // size (the old label). `why` tells what was lost; empty when nothing was.
    // An error: in use, or cannot be read or written.
    static Result<std::unique_ptr<DirtyBlockMap>> open(const std::string& path,
                                                       const DiskLabel& fresh, std::string& why);
    // Gone with the process, every block dirty: for an image that is only read.
    static Result<std::unique_ptr<DirtyBlockMap>> unsaved(const DiskLabel& fresh);

    explicit DirtyBlockMap(LabelFile file);

    std::uint64_t image_bytes() const { return image_bytes_; }
    DiskLabel label() const;
    // Durable when it returns, together with all bits set before. image_bytes and boot are kept. A
    // new pair begins without progress.
    Result<void> set_label(const DiskLabel& label);
    // The image goes its own way from now on: a pair id that nobody else has, everything dirty.
    // Durable when it returns.
    Result<void> break_lineage(DiskRole role);

    // The same, and the image descends from none that others have: whatever they hold, it is not
    // this image's past.
    Result<void> begin_anew();

    BlockSet dirty() const;

    // How far this side has come under a pair that its label names (pair_progress.h).
    PairProgress progress(const LabelId& pair) const;
    // A step of this side, when what it says is fixed and before the other can hear of it; one of
    // the other's, before anything is cleared because of it. The serial is told before each step.
    void count_sent();
    void count_heard();
    std::uint64_t serial() const;
    void hear_serial(std::uint64_t serial);

    // Before a change of [offset, offset + length), within the image, goes to the disk. On an error
    // it must not go, and end_change() is not called. Cheap unless a region becomes active: then it
    // waits for the disk.
    Result<void> mark(std::uint64_t offset, std::uint64_t length);
    // A change that was marked is over.
    void end_change(std::uint64_t offset, std::uint64_t length, bool failed);
    // A flush failed: of all that was written before, nobody knows what the disk still has. Every
    // block stays until it was resynchronised. Durable when it returns.
    Result<void> flush_failed();
    // Sets bits; durable when it returns. Not a change of the disk: nothing is touched.
    Result<void> add(const BlockSet& blocks);

    // What was marked since the last call, without blocks of which a change is in
    // flight: a later call hands those out.
    BlockRuns take_touched();
    void clear(const BlockRuns& blocks);
    // This block was found equal to, or became, the other side's.
    void resynced(BlockIndex block);
    void resynced(const BlockSet& equal);

    // The block was changed since the last take_touched(), or a change of it was in flight then.
    bool is_touched(BlockIndex block) const;
    BlockSet touched() const;

    // all: regions without a set bit; idle: those of them in which nothing was marked since the
    // last call for idle ones, unless another is under way. Nothing when no region can become
    // inactive.
    enum class Prune { all, idle };
    using PruneId = std::uint64_t;
    std::optional<PruneId> begin_prune(Prune which);
    // synced: the image was, since begin_prune(); else nothing becomes inactive. Without effect
    // when another has begun since. Waits for the disk.
    void end_prune(PruneId prune, bool synced);

  private:
    Result<void> load();
    void trim() FMVM_REQUIRES(mutex_);
    Result<void> activate(BlockIndex first, BlockIndex last) FMVM_REQUIRES(mutex_);
    void touch(BlockRun run) FMVM_REQUIRES(mutex_);

    const std::uint64_t image_bytes_;
    const std::uint64_t block_count_;
    mutable Mutex mutex_;
    LabelFile file_ FMVM_GUARDED_BY(mutex_);
    bool advances_serial_ FMVM_GUARDED_BY(mutex_) = false;  // this process gave the label its pair
    // Regions: active durably; without a set bit since begin_prune(); marked since
    // begin_prune(idle).
    BlockSet active_ FMVM_GUARDED_BY(mutex_);
    BlockSet prunable_ FMVM_GUARDED_BY(mutex_);
    BlockSet recent_ FMVM_GUARDED_BY(mutex_);
    PruneId last_prune_ FMVM_GUARDED_BY(mutex_) = 0;
    bool pruning_ FMVM_GUARDED_BY(mutex_) = false;
    // Blocks that were marked since take_touched(), or in flight then.
    BlockSet touched_ FMVM_GUARDED_BY(mutex_);
    // The same as runs, in the order of their marking; none overlaps another.
    std::vector<BlockRun> touched_runs_ FMVM_GUARDED_BY(mutex_);
    BlockSet failed_ FMVM_GUARDED_BY(mutex_);
    // The blocks of each change that is under way.
    std::multiset<BlockRun> in_flight_ FMVM_GUARDED_BY(mutex_);
};

}  // namespace fmvm::replay
