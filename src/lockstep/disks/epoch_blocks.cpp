// SPDX-License-Identifier: Apache-2.0
#include "lockstep/disks/epoch_blocks.h"

#include <utility>

#include "base/check.h"

namespace fmvm::lockstep {

namespace {

constexpr std::size_t body_target = 512 * kib;
constexpr std::size_t record_size_max = 64 * kib + replay::record_payload_max;
static_assert(body_target + record_size_max <= frame_body_max);

}  // namespace

EpochBlocks::EpochBlocks(replay::BlockLog& log, const GuestMemory& memory, replay::PayloadMode mode)
    : log_(log), memory_(memory), mode_(mode) {}

void EpochBlocks::begin() {
    FMVM_CHECK(state_ == State::off);
    log_.begin();
    state_ = State::mirroring;
}

GatheredBody EpochBlocks::next_mirrored() {
    FMVM_CHECK(state_ == State::mirroring);
    GatheredBody body = pack(1);
    if (!body.empty()) return body;
    const std::vector<replay::LoggedRequest> completed = log_.take_completed();
    if (completed.empty()) return {};
    set_outgoing(replay::by_value(completed));
    return pack(1);
}

GatheredBody EpochBlocks::rest_of_mirrored() {
    FMVM_CHECK(state_ == State::mirroring);
    return pack(1);
}

// What was mirrored until the first cut, and no part of it sent, goes with that cut. Nothing is
// known of a write that this cut finds in flight: its pages may have been sent long before it.
void EpochBlocks::close() {
    FMVM_CHECK(state_ == State::mirroring || state_ == State::sending);
    FMVM_CHECK(outgoing_ == nullptr);
    first_cut_ = state_ == State::mirroring;
    if (first_cut_) {
        closed_.completed = log_.take_completed();
        log_.start_epochs();
        closed_.in_flight = log_.close_epoch().in_flight;
        for (const auto& write : closed_.in_flight)
            replay::forget_pages(*write, memory_);
    } else {
        closed_ = log_.close_epoch();
    }
    state_ = State::closed;
}

void EpochBlocks::apply_reference_rule(const replay::CutPages& pages) {
    FMVM_CHECK(state_ == State::closed);
    const replay::BlockLog::Epoch epoch = std::exchange(closed_, {});
    set_outgoing(first_cut_ ? replay::by_value(epoch.completed)
                            : replay::apply_reference_rule(epoch, memory_, pages, mode_));
    counts_ = replay::count(*outgoing_);
    state_ = State::sending;
}

std::span<const PageIndex> EpochBlocks::filled() const {
    if (outgoing_ == nullptr) return {};
    return outgoing_->filled;
}

GatheredBody EpochBlocks::next_body(EpochId epoch) {
    FMVM_CHECK(state_ == State::sending);
    GatheredBody body = pack(epoch);
    counts_.log_bytes += body.size();
    return body;
}

void EpochBlocks::set_outgoing(replay::OutgoingRecords records) {
    outgoing_ = std::make_shared<replay::OutgoingRecords>(std::move(records));
    next_record_ = 0;
}

// Packs records until the body is large enough.
GatheredBody EpochBlocks::pack(EpochId epoch) {
    if (outgoing_ == nullptr) return {};
    const std::vector<replay::BlockRecord>& records = outgoing_->records;
    if (next_record_ == records.size()) {
        outgoing_.reset();
        return {};
    }
    GatheredBody body = begin_block_log_body(epoch);
    while (next_record_ < records.size() && body.size() < body_target)
        append_record(body, records[next_record_++]);
    body.keep(outgoing_);
    return body;
}

void EpochBlocks::end() {
    log_.end();
    state_ = State::off;
    closed_ = {};
    outgoing_.reset();
}

}  // namespace fmvm::lockstep
