// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/epoch_policy.h"

#include <algorithm>

namespace fmvm::lockstep {

void EpochPolicy::epoch_ended(TimePoint now, std::uint64_t new_pages) {
    const Duration length = now - began_;
    if (length <= Duration{}) return;
    within_budget_ = Duration::max();
    if (new_pages == 0) return;
    const double budgets =
        static_cast<double>(options_.dirty_budget) / static_cast<double>(new_pages);
    const double ticks = static_cast<double>(length.count()) * budgets;
    if (ticks < static_cast<double>(Duration(options_.interval_max).count()))
        within_budget_ = Duration(static_cast<Duration::rep>(ticks));
}

EpochPolicy::Duration EpochPolicy::longest() const {
    const Duration longest = options_.interval_max;
    if (options_.mode != SyncMode::adaptive) return longest;
    return std::min(longest, std::max<Duration>(within_budget_, budget_interval_min));
}

void EpochPolicy::acknowledged(Duration cut_to_ack) {
    expected_cut_to_ack_ = expected_cut_to_ack_ == Duration{}
                               ? cut_to_ack
                               : (expected_cut_to_ack_ * 7 + cut_to_ack) / 8;
}

EpochPolicy::TimePoint EpochPolicy::next_cut(std::optional<TimePoint> output_waiting_since) const {
    const TimePoint latest = began_ + longest();
    if (!output_waiting_since || options_.mode == SyncMode::epoch) return latest;
    if (options_.mode == SyncMode::kemari) return std::min(latest, *output_waiting_since);
    const Duration slack =
        std::max(Duration{}, Duration(options_.output_delay) - expected_cut_to_ack_);
    return std::min(latest, *output_waiting_since + slack);
}

}  // namespace fmvm::lockstep
