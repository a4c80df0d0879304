// SPDX-License-Identifier: Apache-2.0
#include "lockstep/arbiter/claiming.h"

#include <algorithm>

#include "base/log.h"

namespace fmvm::lockstep {

void Claiming::asked(TimePoint now) {
    asking_ = true;
    ask_again_ = TimePoint::max();
    answer_due_ = now + patience;
}

void Claiming::no_answer(const std::string& reason, TimePoint now) {
    asking_ = false;
    answer_due_ = TimePoint::max();
    ask_again_ = now + retry;
    tell(waiting_.is(reason, now));
}

void Claiming::over(TimePoint now) {
    asking_ = false;
    answer_due_ = ask_again_ = TimePoint::max();
    if (const auto lasted = waiting_.over(now))
        log::notice(component_, "the wait for the arbiter is over after {}", *lasted);
}

Claiming::TimePoint Claiming::deadline() const {
    return std::min({answer_due_, ask_again_, waiting_.due()});
}

bool Claiming::tick(TimePoint now) {
    if (now >= answer_due_) {
        answer_due_ = TimePoint::max();
        tell(waiting_.is("the arbiter does not answer", now));
    }
    tell(waiting_.look(now));
    if (now < ask_again_) return false;
    ask_again_ = TimePoint::max();
    return true;
}

void Claiming::tell(const std::optional<std::string>& why) const {
    if (why) log::warning(component_, "{}: {}", what_waits_, *why);
}

}  // namespace fmvm::lockstep
