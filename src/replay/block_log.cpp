// SPDX-License-Identifier: Apache-2.0
#include "replay/block_log.h"

#include <algorithm>
#include <utility>

#include "replay/recording_backend.h"

namespace fmvm::replay {

BlockLog::BlockLog(Reads reads, std::uint64_t page_count, std::uint64_t budget_bytes)
    : reads_(reads),
      budget_(std::make_shared<PayloadBudget>(budget_bytes)),
      last_fill_(reads == Reads::recorded ? page_count : 0) {
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
    uncaptured_ = in_flight_.load();
    for (RecordingBackend* backend : backends_)
        backend->forget_captures();
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
    const std::lock_guard lock(mutex_);
    for (const LoggedRequest& request : completed_) {
        for (const FilledPage& filled : request.filled)
            last_fill_[filled.page] = 0;
    }
    budget_->uncharge(std::exchange(charged_, 0));
    pressed_ = false;
    return std::exchange(completed_, {});
}

BlockLog::Epoch BlockLog::close_epoch() {
    Epoch epoch;
    epoch.completed = take_all();
    // Reads whose pages were all filled again.
    std::erase_if(epoch.completed, [](const LoggedRequest& request) {
        return request.op == BlockOp::read && request.filled.empty();
    });
    for (const RecordingBackend* backend : backends_)
        backend->add_writes_in_flight(epoch.in_flight);
    return epoch;
}

std::vector<LoggedRequest> BlockLog::take_completed() {
    return take_all();
}

void BlockLog::append(LoggedRequest request) {
    bool press = false;
    {
        const std::lock_guard lock(mutex_);
        request.sequence = next_sequence_++;
        const auto number = static_cast<std::uint32_t>(completed_.size());
        if (request.op == BlockOp::read) supersede_reads(request, number);
        completed_.push_back(std::move(request));
        charged_ += request_cost;
        budget_->charge(request_cost);
        press = !pressed_ && budget_->is_half_used();
        pressed_ |= press;
    }
    if (press && pressure_handler_) pressure_handler_();
}

// Of a page that is read into again and again only the last read counts.
void BlockLog::supersede_reads(const LoggedRequest& request, std::uint32_t number) {
    for (const FilledPage& filled : request.filled) {
        std::uint32_t& last = last_fill_[filled.page];
        if (last != 0 && last != number + 1) {
            std::erase_if(completed_[last - 1].filled, [&filled](const FilledPage& earlier) {
                return earlier.page == filled.page;
            });
        }
        last = number + 1;
    }
}

}  // namespace fmvm::replay
