// SPDX-License-Identifier: Apache-2.0
// Puts a question to the arbiter again and again while a pair is well: it needs no arbiter to live,
// and would learn too late what it must know when a side is lost. Says when the question is to be
// put, and tells people of answers that are bad or do not come. What follows from an answer is the
// owner's business.
//
// Pure but for the log: time comes in as arguments. Threads: the replication thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/result.h"
#include "lockstep/arbiter/late_answer.h"

namespace fmvm::lockstep {

struct WatchedQuestion {
    std::chrono::seconds interval;          // between an answer and the next question
    std::chrono::seconds failing_interval;  // the same while there is no answer, or a bad one
    // For people; behind `bad` comes why, behind `good_again` how long it was bad.
    const char* bad;
    const char* good_again;
};

// Could the arbiter take a claim? One that is away, read-only or full could not, and then neither
// side could go on alone. Each trial writes.
inline constexpr WatchedQuestion could_claim_question{
    std::chrono::seconds(60), std::chrono::seconds(5),
    "the arbiter could take no claim now, so that neither side could go on without the other",
    "the arbiter could take a claim again; it could not for"};

// Is the pair's generation still the newest? A guest that is begun anew elsewhere is silent for
// longest_permit (channel/permit_terms.h), which is longer than two of these intervals.
inline constexpr WatchedQuestion newest_question{
    std::chrono::seconds(3), std::chrono::seconds(3),
    "the arbiter does not say whether this generation is the newest; a pair goes on without that, "
    "but sides cannot change",
    "the arbiter answers again; it did not for"};

class ArbiterWatch {
  public:
    using TimePoint = LateAnswer::TimePoint;
    // An arbiter that takes longer to answer is told of.
    static constexpr std::chrono::seconds patience{1};

    // component: for the log. The question outlives this.
    ArbiterWatch(std::string component, const WatchedQuestion& question)
        : component_(std::move(component)), question_(question) {}

    // From now on. The question was answered just before.
    void begin(TimePoint now);
    void end();
    // When tick() has something to do; max(): nothing.
    TimePoint deadline() const;
    // True: put the question now. answered() brings what came of it.
    bool tick(TimePoint now);
    // An error, or nothing: the arbiter is of no use now, or it is.
    void answered(const Result<void>& answer, TimePoint now);

  private:
    static LateAnswer no_question() { return {patience, "it does not answer", {}}; }
    void tell(const std::optional<std::string>& why) const;

    const std::string component_;
    const WatchedQuestion& question_;
    bool watching_ = false;
    bool asking_ = false;                         // perhaps since an earlier watch
    TimePoint next_question_ = TimePoint::max();  // max(): it does not watch, or asks
    LateAnswer answer_ = no_question();
};

}  // namespace fmvm::lockstep
