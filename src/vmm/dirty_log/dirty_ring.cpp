// SPDX-License-Identifier: Apache-2.0
#include "vmm/dirty_log/dirty_ring.h"

namespace fmvm {

// Behind an overrun KVM goes on further ahead than we stand.
std::uint64_t DirtyRing::first_dirty() const {
    if (in_step_) return 0;
    for (std::uint64_t ahead = 0; ahead < entries_.size(); ++ahead) {
        if (is_dirty(ahead)) return ahead;
    }
    return entries_.size();
}

std::uint64_t DirtyRing::mark(std::uint64_t count) {
    for (std::uint64_t ahead = 0; ahead < count; ++ahead)
        __atomic_store_n(&at(ahead).flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
    next_ += count;
    return count;
}

// Every entry holds a page that was written; those that were overwritten are lost.
DirtyRing::Taken DirtyRing::take_overrun() {
    in_step_ = false;
    return {mark(entries_.size()), true};
}

}  // namespace fmvm
