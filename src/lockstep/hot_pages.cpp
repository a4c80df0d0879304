// SPDX-License-Identifier: Apache-2.0
#include "lockstep/hot_pages.h"

namespace fmvm::lockstep {

bool HotPages::logged(PageIndex index, EpochId epoch) {
    Page& page = pages_[index];
    if (page.hot) {
        if (page.unchanged < cold_after) return false;
        page = {};
        --hot_count_;
    }
    const auto now = static_cast<std::uint32_t>(epoch);
    const bool in_a_row = page.streak != 0 && now == page.last_epoch + 1;
    page.streak = in_a_row ? static_cast<std::uint8_t>(page.streak + 1) : std::uint8_t{1};
    page.last_epoch = now;
    if (page.streak < hot_after) return true;
    page.streak = hot_after;
    if (hot_count_ == hot_max_) return true;
    page.hot = true;
    page.unchanged = 0;
    ++hot_count_;
    return false;
}

void HotPages::compared(PageIndex index, bool changed) {
    Page& page = pages_[index];
    if (!page.hot) return;
    if (changed) {
        page.unchanged = 0;
    } else if (page.unchanged < cold_after) {
        ++page.unchanged;
    }
}

}  // namespace fmvm::lockstep
