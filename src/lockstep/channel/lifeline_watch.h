// SPDX-License-Identifier: Apache-2.0
// Whether a side that has a channel lacks the lifeline beside it for too long.
//
//     expected --the first sign--> alive --its connection is gone--> gone
//     expected --its connection is gone, or was never made--> gone
//
// Without signs the primary may not speak, however lively the channel is: so their silence is a
// loss of its own. A lifeline that is gone is no loss by itself: a peer that ends has said so on
// the channel, which is read to its end within the silence that any peer is allowed.
//
// Pure but for the lifeline that it owns: time comes in as arguments. Threads: the replication
// thread.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "lockstep/channel/failure_detector.h"
#include "lockstep/channel/lifeline.h"

namespace fmvm::lockstep {

class LifelineWatch {
  public:
    using TimePoint = Lifeline::TimePoint;
    using Duration = TimePoint::duration;
    // An expected lifeline begins within this time, or within twice the silence that is allowed.
    static constexpr std::chrono::seconds begins_within{5};

    // silence: that counts as a loss.
    void expect(Duration silence, TimePoint now) {
        detector_.emplace(silence, now);
        silence_ = silence;
        due_ = now + std::max<Duration>(begins_within, 2 * silence);
        why_ = "its lifeline does not begin";
    }
    // It is made, or on its way.
    void made(std::unique_ptr<Lifeline> lifeline) { lifeline_ = std::move(lifeline); }
    void gone(const std::string& reason, TimePoint now) {
        lifeline_.reset();
        due_ = now + silence_;
        why_ = reason;
    }

    // What this side's signs say that its working thread has handled from now on.
    void handled(std::uint64_t bytes) {
        if (lifeline_) lifeline_->handled(bytes);
    }
    // What the peer's newest sign says of its working thread; nothing: none has come.
    std::optional<WorkDone> peer_work() const {
        return last_sign() ? std::optional(lifeline_->peer_work()) : std::nullopt;
    }

    // Why the peer counts as lost now, if it does: one sentence.
    std::optional<std::string> lost(TimePoint now) {
        const auto sign = last_sign();
        if (!sign) return now < due_ ? std::nullopt : std::optional(why_);
        if (!detector_->is_lost(now, *sign)) return std::nullopt;
        return "no sign of life came by its lifeline for too long";
    }
    // When lost() is to be asked next, or earlier.
    TimePoint deadline() const {
        const auto sign = last_sign();
        return sign ? detector_->next_look(*sign) : due_;
    }

  private:
    std::optional<TimePoint> last_sign() const {
        return lifeline_ ? lifeline_->last_sign() : std::nullopt;
    }

    std::unique_ptr<Lifeline> lifeline_;
    std::optional<FailureDetector> detector_;  // once it is expected
    Duration silence_{0};
    TimePoint due_ = TimePoint::max();
    std::string why_;
};

}  // namespace fmvm::lockstep
