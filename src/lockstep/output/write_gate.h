// SPDX-License-Identifier: Apache-2.0
// Holds the writes to a disk that primary and backup share until the backup has committed the epoch
// that made them: for such a disk a write is output. A decorator of a block backend.
//
// Without it the image could hold what the guest, set back to the last committed epoch by a
// takeover, has not written yet. With it, what is on the image was asked for in a committed epoch,
// and all that was asked for is in flight in the committed state: the takeover carries it out
// (again). Reads pass, and so do flushes (but for Kemari's policy): a flush is about writes that
// have completed. A write withdrawn by a reset is never written here; a takeover from an epoch
// before the reset still carries it out.
//
// Threads: the loop thread, but for hold() and close_epoch() (while the loop stands), commit() and
// open() (any), waiting_since() and holds_any() (any).
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "devices/block/forwarding_backend.h"
#include "lockstep/wire/messages.h"
#include "vmm/loop/event_loop.h"

namespace fmvm::lockstep {

class WriteGate : public ForwardingBackend {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;

    // flushes: they are output as well, as Kemari takes them (its event tap has writes and
    // flushes).
    enum class Holds { writes, flushes_too };
    WriteGate(EventLoop& loop, std::unique_ptr<BlockBackend> inner, Holds holds = Holds::writes)
        : ForwardingBackend(std::move(inner)), loop_(loop), holds_(holds) {}
    ~WriteGate() override { destroy_inner(); }

    void submit(BlockOperation& operation) override;
    void withdraw() override;

    // Called on the loop thread when a write begins to wait that no cut has taken yet.
    void on_waiting(std::function<void()> handler) { waiting_handler_ = std::move(handler); }
    std::optional<TimePoint> waiting_since() const;
    // Something waits, be it of a cut epoch or not. Any thread.
    bool holds_any() const;

    // Asked on the loop thread right before writes of a committed epoch go, and must not wait
    // there: whether this side may still write. If not, they wait until ask_again() or the next
    // commit. Set before use.
    void require_permit(std::function<bool()> permit) { permit_ = std::move(permit); }
    // Loop thread: the permit may be granted now.
    void ask_again() { release_committed(); }

    // Writes wait from now on.
    void hold();
    // What waits now belongs to this epoch.
    void close_epoch(EpochId epoch);
    // The writes of this epoch and those before may go.
    void commit(EpochId epoch);
    // All writes may go, now and from now on.
    void open();

  private:
    struct Held {
        BlockOperation* operation;
        EpochId epoch;  // open_epoch: not cut yet
    };
    static constexpr EpochId open_epoch = UINT64_MAX;
    void release_committed();
    void release(EpochId epoch);
    bool is_output(BlockOp op) const;

    EventLoop& loop_;
    const Holds holds_;
    std::function<void()> waiting_handler_;
    std::function<bool()> permit_;

    mutable Mutex mutex_;
    bool holding_ FMVM_GUARDED_BY(mutex_) = false;
    EpochId committed_ FMVM_GUARDED_BY(mutex_) = 0;  // of the connection under way
    std::deque<Held> held_ FMVM_GUARDED_BY(mutex_);
    std::optional<TimePoint> waiting_since_ FMVM_GUARDED_BY(mutex_);
};

}  // namespace fmvm::lockstep
