// SPDX-License-Identifier: Apache-2.0
#include "replay/capture/block_log.h"

#include <utility>

#include "replay/archive/epoch_recorder.h"
#include "replay/capture/recording_backend.h"

namespace fmvm::replay {

BlockLog::BlockLog(Reads reads, std::uint64_t budget_bytes, EpochRecorder* recorder)
    : reads_(reads),
      recorder_(recorder),
      pressure_bytes_(budget_bytes / 2),
      budget_(std::make_shared<PayloadBudget>(
          budget_bytes + (recorder != nullptr ? EpochRecorder::held_bytes_max : 0))) {
    budget_->on_room([this] {
        for (RecordingBackend* backend : backends_)
            backend->wake();
    });
}

BlockLog::~BlockLog() {
    budget_->on_room(nullptr);
}

void BlockLog::add_backend(RecordingBackend& backend) {
    backends_.push_back(&backend);
}

void BlockLog::remove_backend(RecordingBackend& backend) {
    std::erase(backends_, &backend);
    if (backends_.empty()) budget_->on_room(nullptr);
}

void BlockLog::begin() {
    take_all();
    // A recorder that is still at work has had everything captured, since the guest started. And
    // what it is replayed onto is not made equal: it keeps its doubts.
    if (!feeds_recorder()) {
        uncaptured_ = in_flight_.load();
        for (RecordingBackend* backend : backends_)
            backend->forget_captures();
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
    for (const RecordingBackend* backend : backends_)
        backend->add_writes_in_flight(epoch.in_flight);
    return epoch;
}

std::vector<LoggedRequest> BlockLog::take_completed() {
    return take_all();
}

// end() forgets those that were not captured.
void BlockLog::ended(bool captured) {
    --in_flight_;
    if (!captured && uncaptured_ != 0) --uncaptured_;
}

bool BlockLog::feeds_recorder() const {
    return recorder_ != nullptr && recorder_->is_recording();
}

// For a backup, that is; the recorder has got it already.
bool BlockLog::takes(BlockOp op) const {
    if (op != BlockOp::read) return phase_ != Phase::off;
    return reads_ == Reads::recorded && phase_ == Phase::recording;
}

void BlockLog::append(LoggedRequest request) {
    request.sequence = next_sequence_++;
    if (recorder_ != nullptr) recorder_->append(request);
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
