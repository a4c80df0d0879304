// SPDX-License-Identifier: Apache-2.0
#include "lockstep/output/write_gate.h"

#include <vector>

#include "base/crash_point.h"

namespace fmvm::lockstep {

void WriteGate::submit(BlockOperation& operation) {
    bool hold = false;
    bool begins_to_wait = false;
    {
        const Lock lock(mutex_);
        hold = holding_ && is_output(operation.op);
        if (hold) held_.push_back({&operation, open_epoch});
        begins_to_wait = hold && !waiting_since_;
        if (begins_to_wait) waiting_since_ = std::chrono::steady_clock::now();
    }
    if (!hold) inner().submit(operation);
    if (begins_to_wait && waiting_handler_) waiting_handler_();
}

bool WriteGate::is_output(BlockOp op) const {
    return changes_disk(op) || (op == BlockOp::flush && holds_ == Holds::flushes_too);
}

std::optional<WriteGate::TimePoint> WriteGate::waiting_since() const {
    const Lock lock(mutex_);
    return waiting_since_;
}

bool WriteGate::holds_disk_requests() const {
    const Lock lock(mutex_);
    return !held_.empty();
}

void WriteGate::hold() {
    const Lock lock(mutex_);
    holding_ = true;
}

void WriteGate::close_epoch(EpochId epoch) {
    const Lock lock(mutex_);
    waiting_since_.reset();
    for (auto held = held_.rbegin(); held != held_.rend() && held->epoch == open_epoch; ++held)
        held->epoch = epoch;
}

void WriteGate::commit(EpochId epoch) {
    {
        const Lock lock(mutex_);
        committed_ = epoch;
    }
    loop_.post([this] { release_committed(); });
}

// A side that was frozen since may have been superseded meanwhile.
void WriteGate::release_committed() {
    EpochId epoch = 0;
    {
        const Lock lock(mutex_);
        epoch = committed_;
        if (held_.empty() || held_.front().epoch > epoch) return;
    }
    if (!permit_ || permit_()) release(epoch);
}

void WriteGate::open() {
    {
        const Lock lock(mutex_);
        holding_ = false;
        committed_ = 0;  // the next connection counts its epochs anew
        waiting_since_.reset();
    }
    loop_.post([this] { release(open_epoch); });
}

void WriteGate::release(EpochId epoch) {
    std::vector<BlockOperation*> ready;
    {
        const Lock lock(mutex_);
        while (!held_.empty() && held_.front().epoch <= epoch) {
            ready.push_back(held_.front().operation);
            held_.pop_front();
        }
    }
    // Outside the lock: an operation may complete at once, and its owner submit the next.
    for (BlockOperation* operation : ready)
        inner().submit(*operation);
    inner().flush_submissions();
    crash_point("shared-writes");
}

void WriteGate::withdraw() {
    std::vector<BlockOperation*> waiting;
    {
        const Lock lock(mutex_);
        for (const Held& held : held_)
            waiting.push_back(held.operation);
        held_.clear();
        waiting_since_.reset();
    }
    withdraw_all(waiting);
    inner().withdraw();
}

}  // namespace fmvm::lockstep
