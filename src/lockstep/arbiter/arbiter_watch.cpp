// SPDX-License-Identifier: Apache-2.0
#include "lockstep/arbiter/arbiter_watch.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace fmvm::lockstep {

void ArbiterWatch::begin(TimePoint now) {
    watching_ = true;
    next_question_ = now + question_.interval;
}

void ArbiterWatch::end() {
    watching_ = false;
    next_question_ = TimePoint::max();
    answer_ = no_question();
}

ArbiterWatch::TimePoint ArbiterWatch::deadline() const {
    return std::min(next_question_, answer_.deadline());
}

bool ArbiterWatch::tick(TimePoint now) {
    tell(answer_.look(now));
    if (now < next_question_) return false;
    next_question_ = TimePoint::max();
    answer_.asked(now);
    return !std::exchange(asking_, true);
}

void ArbiterWatch::answered(const Result<void>& answer, TimePoint now) {
    asking_ = false;
    if (!watching_) return;
    next_question_ = now + (answer.ok() ? question_.interval : question_.failing_interval);
    if (!answer.ok()) {
        tell(answer_.bad(answer.error().message(), now));
    } else if (const auto lasted = answer_.over(now)) {
        log::notice(component_, "{} {}", question_.good_again, *lasted);
    }
}

void ArbiterWatch::tell(const std::optional<std::string>& why) const {
    if (why) log::warning(component_, "{}: {}", question_.bad, *why);
}

}  // namespace fmvm::lockstep
