// SPDX-License-Identifier: Apache-2.0
#include "lockstep/arbiter/generation_watch.h"

#include <algorithm>

#include "base/log.h"

namespace fmvm::lockstep {

void GenerationWatch::end() {
    ended_ = true;
    next_question_ = TimePoint::max();
}

GenerationWatch::TimePoint GenerationWatch::deadline() const {
    return ended_ ? TimePoint::max() : std::min(next_question_, silent_.deadline());
}

bool GenerationWatch::tick(TimePoint now) {
    if (ended_) return false;
    tell(silent_.look(now));
    if (now < next_question_) return false;
    next_question_ = TimePoint::max();
    silent_.asked(now);
    return true;
}

void GenerationWatch::answered(const Result<bool>& newest, TimePoint now) {
    if (ended_) return;
    next_question_ = now + interval;
    if (!newest.ok()) {
        tell(silent_.bad(newest.error().message(), now));
    } else if (const auto lasted = silent_.over(now)) {
        log::notice(component_, "the arbiter answers again; it did not for {}", *lasted);
    }
}

void GenerationWatch::tell(const std::optional<std::string>& why) const {
    if (!why) return;
    log::warning(component_,
                 "the arbiter does not say whether this generation is the newest; a pair goes on "
                 "without that, but sides cannot change: {}",
                 *why);
}

}  // namespace fmvm::lockstep
