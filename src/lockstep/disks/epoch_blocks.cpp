// SPDX-License-Identifier: Apache-2.0
#include "lockstep/disks/epoch_blocks.h"

#include <utility>

namespace fmvm::lockstep {

namespace {

constexpr std::size_t body_target = 512 * kib;
constexpr std::size_t record_size_max = 64 * kib + replay::record_payload_max;
static_assert(body_target + record_size_max <= frame_body_max);

// Packs records from `next` on until the body is large enough.
GatheredBody pack(EpochId epoch, const std::shared_ptr<replay::Decision>& decision,
                  std::size_t& next) {
    if (next == decision->records.size()) return {};
    GatheredBody body = begin_block_log_body(epoch);
    while (next < decision->records.size() && body.size() < body_target)
        append_record(body, decision->records[next++]);
    body.keep(decision);
    return body;
}

}  // namespace

EpochBlocks::EpochBlocks(replay::BlockLog& log, const GuestMemory& memory, replay::PayloadMode mode)
    : log_(log), memory_(memory), mode_(mode) {}

void EpochBlocks::begin() {
    log_.begin();
    mirroring_ = true;
    closed_ = {};
    decision_.reset();
    next_record_ = 0;
}

GatheredBody EpochBlocks::next_mirrored() {
    GatheredBody body = next_body(1);
    if (!body.empty()) return body;
    const std::vector<replay::LoggedRequest> completed = log_.take_completed();
    if (completed.empty()) return {};
    decision_ = std::make_shared<replay::Decision>(replay::by_value(completed));
    next_record_ = 0;
    return next_body(1);
}

// What was mirrored until the first cut and not sent yet goes with it. Of a write that this cut
// finds in flight nothing is known: its pages may have been sent long before it.
void EpochBlocks::close() {
    if (!std::exchange(mirroring_, false)) {
        closed_ = log_.close_epoch();
        return;
    }
    closed_.completed = log_.take_completed();
    log_.start_epochs();
    closed_.in_flight = log_.close_epoch().in_flight;
    for (const auto& write : closed_.in_flight)
        replay::forget_pages(*write, memory_);
    first_cut_ = true;
}

void EpochBlocks::decide(const replay::StagedPages& staged) {
    const replay::BlockLog::Epoch epoch = std::exchange(closed_, {});
    const bool first = std::exchange(first_cut_, false);
    decision_ = std::make_shared<replay::Decision>(
        first ? replay::by_value(epoch.completed) : replay::decide(epoch, memory_, staged, mode_));
    counts_ = replay::count(*decision_);
    next_record_ = 0;
}

std::span<const PageIndex> EpochBlocks::filled() const {
    if (!decision_) return {};
    return decision_->filled;
}

GatheredBody EpochBlocks::next_body(EpochId epoch) {
    if (!decision_) return {};
    GatheredBody body = pack(epoch, decision_, next_record_);
    counts_.log_bytes += body.size();
    if (body.empty()) decision_.reset();
    return body;
}

void EpochBlocks::end() {
    log_.end();
    mirroring_ = false;
    closed_ = {};
    decision_.reset();
}

}  // namespace fmvm::lockstep
