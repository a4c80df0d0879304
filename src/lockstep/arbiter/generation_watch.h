// SPDX-License-Identifier: Apache-2.0
// Asks the arbiter every few seconds whether this side's generation is still the newest: a pair
// does not need the arbiter to live, and would not notice otherwise that its guest was begun anew
// elsewhere. An answer is the owner's to act on; that there is none is told, and changes nothing.
//
// Whoever begins a guest anew is silent for longest_permit (channel/permit_terms.h), which is
// longer than two of these intervals.
//
// Pure but for the log: time comes in as arguments. Threads: the replication thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/result.h"
#include "lockstep/arbiter/late_answer.h"

namespace fmvm::lockstep {

class GenerationWatch {
  public:
    using TimePoint = LateAnswer::TimePoint;
    static constexpr std::chrono::seconds interval{3};
    // An arbiter that takes longer to answer is told of.
    static constexpr std::chrono::seconds patience{1};

    // component: for the log.
    explicit GenerationWatch(std::string component) : component_(std::move(component)) {}

    void begin(TimePoint now) { next_question_ = now + interval; }
    void end();
    // When tick() has something to do; max(): nothing.
    TimePoint deadline() const;
    // True: ask now. answered() brings what came of it.
    bool tick(TimePoint now);
    void answered(const Result<bool>& newest, TimePoint now);

  private:
    void tell(const std::optional<std::string>& why) const;

    const std::string component_;
    TimePoint next_question_ = TimePoint::max();  // max(): it has ended, or an answer is awaited
    bool ended_ = false;
    LateAnswer silent_{patience, "it does not answer", TimePoint::duration::zero()};
};

}  // namespace fmvm::lockstep
