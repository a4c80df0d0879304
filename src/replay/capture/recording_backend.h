// SPDX-License-Identifier: Apache-2.0
// Puts what a disk is asked to do into the block log: a decorator of a block backend.
//
// While the log captures requests, a write's payload is copied out of guest RAM once, and the disk
// below gets that copy: a guest that scribbles on a buffer in flight cannot split two disks. A read
// goes to a buffer of ours first, so that the digest of a page that it fills is that of what the
// disk gave, and nothing changes guest RAM unseen while a read is under way. Requests that overlap
// one before them wait for it, because the log is in the order of completion.
//
// Threads: as BlockBackend; for the log as CapturedDisk.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "devices/block/forwarding_backend.h"
#include "devices/block/operation_pool.h"
#include "replay/capture/block_log.h"
#include "replay/capture/guest_pieces.h"
#include "vmm/loop/event_loop.h"
#include "vmm/loop/task_scope.h"

namespace fmvm::replay {

class RecordingBackend : public ForwardingBackend,
                         private BlockOperationOwner,
                         private CapturedDisk {
  public:
    // disk: the disk's number. Loop, memory and log outlive this.
    RecordingBackend(EventLoop& loop, GuestMemory& memory, BlockLog& log, std::uint8_t disk,
                     std::unique_ptr<BlockBackend> inner);
    ~RecordingBackend() override;

    void submit(BlockOperation& operation) override;
    void flush_submissions() override;
    bool poll_completions() override;
    void withdraw() override;

  private:
    struct Tracked;
    struct Range {
        std::uint64_t offset;
        std::uint64_t length;
    };
    static constexpr std::size_t doubtful_max = 64;

    void forget_captures() override;
    void add_writes_in_flight(std::vector<std::shared_ptr<WritePayload>>& writes) const override;
    void wake() override;

    Tracked& track(BlockOperation& operation);
    bool must_wait(const Tracked& tracked) const;
    bool start(Tracked& tracked);
    bool capture_write(Tracked& tracked);
    bool redirect_read(Tracked& tracked);
    void start_waiting();
    void complete(BlockOperation& operation, BlockStatus status) override;
    static void deliver_read(const Tracked& tracked);
    void log(Tracked& tracked, BlockStatus status);
    std::vector<FilledPage> filled_pages(const Tracked& tracked) const;
    bool is_filled_whole(const Tracked& tracked, const GuestPiece& piece) const;
    void mark_others(const Tracked& tracked);
    void doubt(const Tracked& tracked);
    bool is_doubtful(const Tracked& tracked) const;
    void release(Tracked& tracked);

    EventLoop& loop_;
    GuestMemory& memory_;
    BlockLog& log_;
    const std::uint8_t disk_;
    OperationPool<Tracked> pool_;
    std::vector<Tracked*> started_;
    std::deque<Tracked*> waiting_;
    std::vector<Range> doubtful_;  // under changes that failed since forget_captures()
    bool starting_ = false;        // start_waiting() is at work
    TaskScope tasks_;              // last: it ends before anything that the tasks use
};

}  // namespace fmvm::replay
