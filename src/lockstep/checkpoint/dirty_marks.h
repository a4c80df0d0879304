// SPDX-License-Identifier: Apache-2.0
// Pages that the VMM itself, or the kernel on its behalf, wrote: the dirty log of KVM lacks them.
#pragma once

#include "vmm/memory/guest_memory.h"

namespace fmvm::lockstep {

// Moves the marks to `pages`. While the guest and its devices stand.
inline void take_dirty_marks(GuestMemory& memory, PageSet& pages) {
    const std::vector<std::uint64_t> marks = memory.take_dirty_marks();
    for (std::size_t i = 0; i < marks.size(); ++i)
        pages.words()[i] |= marks[i];
}

}  // namespace fmvm::lockstep
