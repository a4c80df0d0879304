// SPDX-License-Identifier: Apache-2.0
#include "lockstep/epoch_policy.h"

#include <algorithm>

namespace fmvm::lockstep {

void EpochPolicy::acknowledged(Duration cut_to_ack) {
    expected_cut_to_ack_ = expected_cut_to_ack_ == Duration{}
                               ? cut_to_ack
                               : (expected_cut_to_ack_ * 7 + cut_to_ack) / 8;
}

EpochPolicy::TimePoint EpochPolicy::next_cut(std::optional<TimePoint> output_waiting_since) const {
    const TimePoint latest = began_ + options_.interval_max;
    if (!output_waiting_since || options_.mode == SyncMode::epoch) return latest;
    if (options_.mode == SyncMode::kemari) return std::min(latest, *output_waiting_since);
    const Duration slack =
        std::max(Duration{}, Duration(options_.output_delay) - expected_cut_to_ack_);
    return std::min(latest, *output_waiting_since + slack);
}

}  // namespace fmvm::lockstep
