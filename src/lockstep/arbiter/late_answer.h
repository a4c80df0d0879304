// SPDX-License-Identifier: Apache-2.0
// A question to the arbiter, put again and again: decides what people are told of an answer that is
// late, or that says that the arbiter is of no use now.
//
// Pure: time comes in as arguments. Threads: the replication thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "base/trouble.h"

namespace fmvm::lockstep {

class LateAnswer {
  public:
    using TimePoint = Trouble::TimePoint;
    using Duration = Trouble::Duration;

    // An answer that takes longer than `patience` is told of, as `late`; one that is bad, when that
    // has lasted for `trouble_patience`.
    LateAnswer(Duration patience, std::string late, Duration trouble_patience)
        : patience_(patience), late_(std::move(late)), trouble_(trouble_patience) {}

    void asked(TimePoint now) { due_ = now + patience_; }
    // What came, or why nothing did: what people are to be told of it.
    std::optional<std::string> bad(const std::string& reason, TimePoint now) {
        due_ = TimePoint::max();
        return trouble_.is(reason, now);
    }
    // Nothing is wrong, or nobody waits any more: how long it was, if people are to be told.
    std::optional<std::string> over(TimePoint now) {
        due_ = TimePoint::max();
        return trouble_.over(now);
    }
    // At deadline() or later: what people are to be told.
    std::optional<std::string> look(TimePoint now) {
        return now < due_ ? trouble_.look(now) : bad(late_, now);
    }
    // max(): look() has nothing to tell.
    TimePoint deadline() const { return std::min(due_, trouble_.due()); }

  private:
    Duration patience_;
    std::string late_;
    Trouble trouble_;
    TimePoint due_ =
        TimePoint::max();  // max(): no answer is awaited, or it was told that it is late
};

}  // namespace fmvm::lockstep
