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
// Threads: the loop thread for all of BlockBackend; EpochGate says the rest.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "devices/block/forwarding_backend.h"
#include "lockstep/output/epoch_gate.h"
#include "vmm/loop/event_loop.h"

namespace fmvm::lockstep {

class WriteGate : public ForwardingBackend, public EpochGate {
  public:
    // flushes: they are output as well, as Kemari takes them (its event tap has writes and
    // flushes).
    enum class Holds { writes, flushes_too };
    WriteGate(EventLoop& loop, std::unique_ptr<BlockBackend> inner, Holds holds = Holds::writes)
        : ForwardingBackend(std::move(inner)), loop_(loop), holds_(holds) {}
    ~WriteGate() override { destroy_inner(); }

    void submit(BlockOperation& operation) override;
    void withdraw() override;

    void on_waiting(std::function<void()> handler) override {
        waiting_handler_ = std::move(handler);
    }
    std::optional<TimePoint> waiting_since() const override;
    bool holds_disk_requests() const override;
    void require_permit(std::function<bool()> permit) override { permit_ = std::move(permit); }
    void ask_again() override { release_committed(); }
    void hold() override;
    void close_epoch(EpochId epoch) override;
    void commit(EpochId epoch) override;
    void open() override;

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
