// SPDX-License-Identifier: Apache-2.0
#include "replay/capture/block_log.h"

#include <utility>

#include "base/check.h"

namespace fmvm::replay {

BlockLog::BlockLog(Reads reads, std::uint64_t budget_bytes, RequestSink* sink)
    : reads_(reads),
      sink_(sink),
      pressure_bytes_(budget_bytes / 2),
      budget_(std::make_shared<PayloadBudget>(budget_bytes +
                                              (sink != nullptr ? sink->held_bytes_limit() : 0))) {
    budget_->on_room([this] {
        for (CapturedDisk* disk : disks_)
            disk->wake();
    });
}

BlockLog::~BlockLog() {
    budget_->on_room(nullptr);
}

void BlockLog::add_disk(CapturedDisk& disk) {
    disks_.push_back(&disk);
}

void BlockLog::remove_disk(CapturedDisk& disk) {
    FMVM_CHECK(std::erase(disks_, &disk) == 1);
    if (disks_.empty()) budget_->on_room(nullptr);
}

void BlockLog::begin() {
    take_all();
    // A sink that still takes requests has had everything captured since the guest started. The
    // disks that its requests are replayed onto are not made equal now: doubts about them stay.
    if (!feeds_sink()) {
        uncaptured_ = in_flight_.load();
        for (CapturedDisk* disk : disks_)
            disk->forget_captures();
    }
    phase_ = Phase::mirroring;
}

void BlockLog::start_epochs() {
    FMVM_CHECK(phase_ == Phase::mirroring && all_captured());
    phase_ = Phase::recording;
}

void BlockLog::end() {
    phase_ = Phase::off;
    take_all();
    uncaptured_ = 0;
}

std::vector<LoggedRequest> BlockLog::take_all() {
    const Lock lock(mutex_);
    budget_->uncharge(std::exchange(charged_, 0));
    logged_bytes_ = 0;
    return std::exchange(completed_, {});
}

BlockLog::Epoch BlockLog::close_epoch() {
    Epoch epoch{take_all(), {}};
    for (const CapturedDisk* disk : disks_)
        disk->add_writes_in_flight(epoch.in_flight);
    return epoch;
}

std::vector<LoggedRequest> BlockLog::take_completed() {
    return take_all();
}

// end() forgets those that were not captured.
void BlockLog::ended(bool captured) {
    FMVM_CHECK(in_flight_ != 0);
    --in_flight_;
    if (!captured && uncaptured_ != 0) --uncaptured_;
}

bool BlockLog::takes(BlockOp op) const {
    if (op != BlockOp::read) return phase_ != Phase::off;
    return reads_ == Reads::recorded && phase_ == Phase::recording;
}

void BlockLog::append(LoggedRequest request) {
    request.sequence = ++last_sequence_;
    if (sink_ != nullptr) sink_->append(request);
    if (!takes(request.op)) return;
    const std::uint64_t cost = request_cost + request.filled.size() * sizeof(FilledPage);
    const std::uint64_t bytes = cost + (request.write ? request.length : 0);
    bool press = false;
    {
        const Lock lock(mutex_);
        completed_.push_back(std::move(request));
        charged_ += cost;
        budget_->charge(cost);
        const bool before = under_pressure();
        logged_bytes_ += bytes;
        press = !before && under_pressure();
    }
    if (press && pressure_handler_) pressure_handler_();
}

}  // namespace fmvm::replay
