// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/ending.h"

#include "base/check.h"

namespace fmvm::lockstep {

void Ending::begin_switch_over() {
    FMVM_CHECK(!begun());
    kind_ = Kind::switch_over;
}

void Ending::give_up_switch_over() {
    FMVM_CHECK(kind_ == Kind::switch_over && !guest_end_reason_);
    *this = {};
}

void Ending::guest_ended(const std::string& reason, TimePoint now) {
    guest_end_reason_ = reason;
    if (hands_over()) return;
    kind_ = Kind::guest_end;
    disks_wait_until_ = now + disks_wait_max;
}

bool Ending::make_cut(bool disks_idle, TimePoint now) {
    FMVM_CHECK(!last_cut_made_);
    const bool may_wait = !disks_idle && waits_for_disks(now);
    last_cut_made_ = begun() && !may_wait;
    return last_cut_made_;
}

}  // namespace fmvm::lockstep
