// SPDX-License-Identifier: Apache-2.0
// When the next cut is due.
//
//     kemari    as soon as there is output, and the guest stands until the acknowledgement; without
//               output, at the longest interval (the faithful baseline)
//     epoch     at a fixed interval
//     adaptive  so that output is released `output_delay` after it was emitted (what stop and
//               acknowledgement will take is known from the last epochs); without output, at the
//               longest interval, or earlier so that at the last epoch's rate no more than
//               `dirty_budget` pages are written anew: that bounds what a cut has to copy. (Hot
//               pages, written in every epoch however short it is, do not count.)
//
// Pure: time comes in as arguments. Threads: none of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace fmvm::lockstep {

enum class SyncMode { kemari, epoch, adaptive };

struct EpochPolicyOptions {
    SyncMode mode = SyncMode::adaptive;
    std::chrono::microseconds interval_max{50'000};
    std::chrono::microseconds output_delay{2'000};
    std::uint64_t dirty_budget = 4096;  // pages; adaptive
    bool operator==(const EpochPolicyOptions&) const = default;
};

class EpochPolicy {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    using Duration = std::chrono::steady_clock::duration;

    explicit EpochPolicy(const EpochPolicyOptions& options) : options_(options) {}

    // An epoch was cut; in it, so many pages were written for the first time.
    void epoch_ended(TimePoint now, std::uint64_t new_pages);
    // The guest ran on from a cut (or began to run under protection).
    void epoch_began(TimePoint now) { began_ = now; }
    // How long it took from the beginning of a cut to its acknowledgement.
    void acknowledged(Duration cut_to_ack);

    TimePoint next_cut(std::optional<TimePoint> output_waiting_since) const;
    // The guest stands until the acknowledgement.
    bool waits_for_ack() const { return options_.mode == SyncMode::kemari; }

    // However fast the guest writes, the budget does not make epochs shorter than this.
    static constexpr std::chrono::milliseconds budget_interval_min{5};

  private:
    Duration longest() const;

    EpochPolicyOptions options_;
    TimePoint began_{};
    Duration expected_cut_to_ack_{};  // moving average
    // How long an epoch may be to stay within the dirty budget, by what the last one wrote.
    Duration within_budget_ = Duration::max();
};

}  // namespace fmvm::lockstep
