// SPDX-License-Identifier: Apache-2.0
#include "lockstep/arbiter/claiming.h"

#include <algorithm>

#include "base/log.h"

namespace fmvm::lockstep {

void Claiming::asked(TimePoint now) {
    asking_ = true;
    ask_again_ = TimePoint::max();
    answer_.asked(now);
}

void Claiming::no_answer(const std::string& reason, TimePoint now) {
    asking_ = false;
    ask_again_ = now + retry;
    tell(answer_.bad(reason, now));
}

void Claiming::over(TimePoint now) {
    asking_ = false;
    ask_again_ = TimePoint::max();
    if (const auto lasted = answer_.over(now))
        log::notice(component_, "the wait for the arbiter is over after {}", *lasted);
}

Claiming::TimePoint Claiming::deadline() const {
    return std::min(ask_again_, answer_.deadline());
}

bool Claiming::tick(TimePoint now) {
    tell(answer_.look(now));
    if (now < ask_again_) return false;
    ask_again_ = TimePoint::max();
    return true;
}

void Claiming::tell(const std::optional<std::string>& why) const {
    if (why) log::warning(component_, "{}: {}", what_waits_, *why);
}

}  // namespace fmvm::lockstep
