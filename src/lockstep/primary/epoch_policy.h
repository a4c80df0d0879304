// SPDX-License-Identifier: Apache-2.0
// When the next cut is due.
//
//     kemari    as soon as there is output, and the guest stands until the acknowledgement; without
//               output, at the longest interval (as Kemari does it: the baseline to compare with)
//     epoch     at a fixed interval
//     adaptive  early enough to release output `output_delay` after the guest emitted it; the last
//               epochs tell how long a cut and its acknowledgement take. Without output, at the
//               longest interval, or earlier if the guest would write more than `dirty_budget` new
//               pages at the last epoch's rate: that bounds what a cut has to copy. (Hot pages,
//               which the guest writes in every epoch however short it is, do not count.)
//
// Pure: time comes in as arguments.
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

    // An epoch was cut. The guest wrote so many pages in it that it had not written just before.
    void epoch_ended(TimePoint now, std::uint64_t new_pages);
    // The guest runs on after a cut.
    void epoch_began(TimePoint now) { began_ = now; }
    // So long it took from the beginning of a cut to its acknowledgement.
    void acknowledged(Duration cut_to_ack);

    TimePoint next_cut(std::optional<TimePoint> output_waiting_since) const;
    // The guest stands until the acknowledgement.
    bool waits_for_ack() const { return options_.mode == SyncMode::kemari; }

    // The budget does not make epochs shorter than this, however fast the guest writes.
    static constexpr std::chrono::milliseconds budget_interval_min{5};

  private:
    Duration longest() const;

    EpochPolicyOptions options_;
    TimePoint began_{};
    Duration expected_cut_to_ack_{};  // moving average
    // How long an epoch may last within the dirty budget, at the last epoch's rate.
    Duration within_budget_ = Duration::max();
};

}  // namespace fmvm::lockstep
