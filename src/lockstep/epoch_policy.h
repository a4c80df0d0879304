// SPDX-License-Identifier: Apache-2.0
// When the next cut is due.
//
//     kemari    as soon as there is output, and the guest stands until the acknowledgement; without
//               output, at the longest interval (the faithful baseline)
//     epoch     at a fixed interval
//     adaptive  so that output is released `output_delay` after it was emitted (what stop and
//               acknowledgement will take is known from the last epochs); without output, at the
//               longest interval
//
// Pure: time comes in as arguments. Threads: none of its own.
#pragma once

#include <chrono>
#include <optional>

namespace fmvm::lockstep {

enum class SyncMode { kemari, epoch, adaptive };

struct EpochPolicyOptions {
    SyncMode mode = SyncMode::adaptive;
    std::chrono::microseconds interval_max{50'000};
    std::chrono::microseconds output_delay{2'000};
};

class EpochPolicy {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    using Duration = std::chrono::steady_clock::duration;

    explicit EpochPolicy(const EpochPolicyOptions& options) : options_(options) {}

    // The guest ran on from a cut (or began to run under protection).
    void epoch_began(TimePoint now) { began_ = now; }
    // How long it took from the beginning of a cut to its acknowledgement.
    void acknowledged(Duration cut_to_ack);

    TimePoint next_cut(std::optional<TimePoint> output_waiting_since) const;
    // The guest stands until the acknowledgement.
    bool waits_for_ack() const { return options_.mode == SyncMode::kemari; }

  private:
    EpochPolicyOptions options_;
    TimePoint began_{};
    Duration expected_cut_to_ack_{};  // moving average
};

}  // namespace fmvm::lockstep
