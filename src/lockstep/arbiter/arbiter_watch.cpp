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
    next_trial_ = answer_due_ = TimePoint::max();
    useless_ = Trouble();
}

ArbiterWatch::TimePoint ArbiterWatch::deadline() const {
    return std::min({next_trial_, answer_due_, useless_.due()});
}

bool ArbiterWatch::tick(TimePoint now) {
    if (now >= answer_due_) {
        answer_due_ = TimePoint::max();
        tell(useless_.is("it does not answer", now));
    }
    tell(useless_.look(now));
    if (now < next_trial_) return false;
    next_trial_ = TimePoint::max();
    answer_due_ = now + patience;
    return !std::exchange(asking_, true);
}

void ArbiterWatch::answered(const Result<void>& tried, TimePoint now) {
    asking_ = false;
    if (!watching_) return;
    answer_due_ = TimePoint::max();
    next_trial_ = now + (tried.ok() ? interval : failing_interval);
    if (!tried.ok()) {
        tell(useless_.is(tried.error().message(), now));
    } else if (const auto lasted = useless_.over(now)) {
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
