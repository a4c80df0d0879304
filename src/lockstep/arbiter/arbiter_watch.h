// SPDX-License-Identifier: Apache-2.0
// Finds out, while a pair is well, that its arbiter could not take a claim: it is away, read-only,
// full, or holds something else. Without that the pair would learn it when it needs the arbiter,
// and then neither side could go on alone.
//
// Says when a claim is to be tried out, and tells people what comes of it.
//
// Pure but for the log: time comes in as arguments. Threads: the replication thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/result.h"
#include "lockstep/arbiter/late_answer.h"

namespace fmvm::lockstep {

class ArbiterWatch {
  public:
    using TimePoint = LateAnswer::TimePoint;
    // Between two trials; while they fail, they are more frequent.
    static constexpr std::chrono::seconds interval{60};
    static constexpr std::chrono::seconds failing_interval{5};
    // An arbiter that takes longer to answer is told of.
    static constexpr std::chrono::seconds patience{1};

    // component: for the log.
    explicit ArbiterWatch(std::string component) : component_(std::move(component)) {}

    // From now on. A claim has just been made, or tried out.
    void begin(TimePoint now);
    void end();
    // When tick() has something to do; max(): nothing.
    TimePoint deadline() const;
    // True: try a claim out now. answered() brings what came of it.
    bool tick(TimePoint now);
    void answered(const Result<void>& tried, TimePoint now);

  private:
    static LateAnswer no_question() { return {patience, "it does not answer", {}}; }
    void tell(const std::optional<std::string>& why) const;

    const std::string component_;
    bool watching_ = false;
    bool asking_ = false;                      // perhaps since an earlier watch
    TimePoint next_trial_ = TimePoint::max();  // max(): it does not watch, or an answer is awaited
    LateAnswer answer_ = no_question();
};

}  // namespace fmvm::lockstep
