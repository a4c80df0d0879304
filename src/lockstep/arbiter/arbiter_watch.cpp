// SPDX-License-Identifier: Apache-2.0
#include "lockstep/arbiter/arbiter_watch.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace fmvm::lockstep {

void ArbiterWatch::begin(TimePoint now) {
    watching_ = true;
    next_trial_ = now + interval;
}

void ArbiterWatch::end() {
    watching_ = false;
    next_trial_ = TimePoint::max();
    answer_ = no_question();
}

ArbiterWatch::TimePoint ArbiterWatch::deadline() const {
    return std::min(next_trial_, answer_.deadline());
}

bool ArbiterWatch::tick(TimePoint now) {
    tell(answer_.look(now));
    if (now < next_trial_) return false;
    next_trial_ = TimePoint::max();
    answer_.asked(now);
    return !std::exchange(asking_, true);
}

void ArbiterWatch::answered(const Result<void>& tried, TimePoint now) {
    asking_ = false;
    if (!watching_) return;
    next_trial_ = now + (tried.ok() ? interval : failing_interval);
    if (!tried.ok()) {
        tell(answer_.bad(tried.error().message(), now));
    } else if (const auto lasted = answer_.over(now)) {
        log::notice(component_, "the arbiter could take a claim again; it could not for {}",
                    *lasted);
    }
}

void ArbiterWatch::tell(const std::optional<std::string>& why) const {
    if (!why) return;
    log::warning(component_,
                 "the arbiter could take no claim now, so that neither side could go on without "
                 "the other: {}",
                 *why);
}

}  // namespace fmvm::lockstep
