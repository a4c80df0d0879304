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
    page.again = page.last_epoch != 0 && now - page.last_epoch <= hot_within;
    page.last_epoch = now;
    if (!page.again || hot_count_ == hot_max_) return true;
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
