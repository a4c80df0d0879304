// SPDX-License-Identifier: Apache-2.0
// What holds in each state of a backup (backup.h).
#include "lockstep/backup/backup.h"

namespace fmvm::lockstep {

void Backup::check_invariants() const {
    using enum BackupState;
    constexpr StateSet<State> with_primary{greeting, receiving, following, awaiting_flush};
    constexpr StateSet<State> with_copy{receiving,      following,  awaiting_flush, deciding,
                                        awaiting_disks, discarding, finished};
    constexpr StateSet<State> could_run{following, awaiting_flush, deciding, awaiting_disks};
    const State now = state();
    // A primary that hands over may still be there while this side decides.
    FMVM_CHECK(link_.has_value() == with_primary.contains(now) || now == deciding);
    FMVM_CHECK(guest_.has_value() == with_copy.contains(now));
    FMVM_CHECK(now != receiving || guest_->shadow().committed() == 0);
    if (could_run.contains(now)) {
        FMVM_CHECK(guest_->is_fit() && guest_->shadow().is_applied());
        FMVM_CHECK(guest_->shadow().committed() != 0);
    }
    FMVM_CHECK(timers_.is_set(Timer::look_at_flush) == (now == awaiting_flush));
    FMVM_CHECK(timers_.is_set(Timer::take_disks) == (now == awaiting_disks));
    FMVM_CHECK(timers_.is_set(Timer::look_at_copy) == (now == discarding));
}

}  // namespace fmvm::lockstep
