// SPDX-License-Identifier: Apache-2.0
#include "lockstep/output/pair_permit.h"

#include "base/check.h"

namespace fmvm::lockstep {

Result<std::shared_ptr<PairPermit>> PairPermit::create() {
    UniqueFd wanted = FMVM_TRY(create_eventfd());
    UniqueFd renewed = FMVM_TRY(create_eventfd());
    return std::shared_ptr<PairPermit>(new PairPermit(std::move(wanted), std::move(renewed)));
}

void PairPermit::begin_session(PermitTerms terms) {
    const Lock lock(mutex_);
    permit_ = SpeakingPermit(terms);
    until_ = 0;
    late_way_ = 0;
}

void PairPermit::renounce() {
    const Lock lock(mutex_);
    permit_.renounce();
    until_ = 0;
}

void PairPermit::end() {
    if (right_ != Right::promises) return;
    const Lock lock(mutex_);
    change(permit_.is_renounced() ? Right::none : Right::ending);
}

void PairPermit::change(Right right) {
    right_ = right;
    tell_renewed();
}

void PairPermit::tell_renewed() {
    if (is_wanted_.exchange(false)) signal_eventfd(renewed_.get());
}

void PairPermit::want() {
    is_wanted_ = true;
    signal_eventfd(wanted_.get());
}

std::string PairPermit::why_not() const {
    const std::chrono::duration<double, std::milli> way = std::chrono::nanoseconds(late_way_);
    if (way.count() == 0) return "the backup does not answer signs of life";
    return fmt::format(
        "a sign of life and its answer take {:.0f} ms, and the backup promises no more than half "
        "of --lost-after; give a longer --lost-after",
        way.count());
}

std::chrono::microseconds PairPermit::sending(std::uint64_t number, bool asks, BootTime now) {
    const Lock lock(mutex_);
    const SpeakingPermit::Asked asked = permit_.sign(now, asks);
    FMVM_CHECK(asked.number == number);
    return asked.promise;
}

void PairPermit::echoed(std::uint64_t number, BootTime now) {
    const Lock lock(mutex_);
    FMVM_CHECK(permit_.echoed(number, now));  // life_signs.h lets no other through
    const BootTime until = permit_.until();
    until_ = until.count();
    if (now < until) {
        late_way_ = 0;
        tell_renewed();
    } else if (until != BootTime::zero()) {
        late_way_ = permit_.newest_way().count();
    }
}

}  // namespace fmvm::lockstep
