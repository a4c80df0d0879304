// SPDX-License-Identifier: Apache-2.0
// The claim of a side that has to decide who goes on: asked until the arbiter has answered, again
// half a second after each time that it could not. While that takes long, people are told.
//
// Pure but for the log: time comes in as arguments. Threads: the replication thread.
#pragma once

#include <chrono>
#include <string>

#include "lockstep/arbiter/late_answer.h"

namespace fmvm::lockstep {

class Claiming {
  public:
    using TimePoint = LateAnswer::TimePoint;
    // Between an answer that told nothing and the next question.
    static constexpr std::chrono::milliseconds retry{500};
    // An arbiter that takes so long, or has failed for so long, is told of.
    static constexpr std::chrono::milliseconds patience{400};

    // For the log: the component, and what waits for the answer ("the guest's output waits").
    Claiming(std::string component, std::string what_waits)
        : component_(std::move(component)), what_waits_(std::move(what_waits)) {}

    // tick() asks for the question then, not before.
    void ask_at(TimePoint when) { ask_again_ = when; }
    // The question is put now. Its answer is no_answer() or answered().
    void asked(TimePoint now);
    // The arbiter could not tell, for this reason.
    void no_answer(const std::string& reason, TimePoint now);
    // There is an answer, or nobody waits for one any more.
    void over(TimePoint now);

    // A question was put, and has no answer.
    bool is_asking() const { return asking_; }
    // When tick() has something to do; max(): nothing.
    TimePoint deadline() const;
    // True: put the question again.
    bool tick(TimePoint now);

  private:
    void tell(const std::optional<std::string>& why) const;

    const std::string component_;
    const std::string what_waits_;
    bool asking_ = false;
    TimePoint ask_again_ = TimePoint::max();
    LateAnswer answer_{patience, "the arbiter does not answer", patience};
};

}  // namespace fmvm::lockstep
