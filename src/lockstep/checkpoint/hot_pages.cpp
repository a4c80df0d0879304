// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/hot_pages.h"

#include <algorithm>

namespace fmvm::lockstep {

bool HotPages::logged(PageIndex index, EpochId epoch) {
    Page& page = pages_[index];
    if (page.hot) {
        if (page.share >= share_cold) return false;
        // Whether it was written since the last cut is not known: it is always in the log.
        page.hot = false;
        page.last_epoch = 0;
        page.cooled = std::min<std::uint8_t>(page.cooled + 1, cooled_max);
        --hot_count_;
    }
    const auto now = static_cast<std::uint32_t>(epoch);
    const std::uint32_t since = page.last_epoch != 0 ? now - page.last_epoch : UINT32_MAX;
    page.again = since <= hot_within;
    page.last_epoch = now;
    if (since > hot_within >> page.cooled || hot_count_ == hot_max_) return true;
    page.hot = true;
    page.share = share_at_first;
    ++hot_count_;
    return false;
}

void HotPages::compared(PageIndex index, Change change) {
    Page& page = pages_[index];
    if (!page.hot) return;
    const int target = change != Change::none ? UINT8_MAX : 0;
    page.share = static_cast<std::uint8_t>(page.share + (target - page.share) / 8);
    const bool trusted = page.share >= share_trusted;
    if (trusted) page.cooled = 0;
    const unsigned times = change == Change::rewritten ? page.rewritten + 1U : 0U;
    page.rewritten = std::min<unsigned>(times, unseen_max) & 0xf;
    page.unseen = trusted ? page.rewritten : 0;
}

bool HotPages::take_unseen(PageIndex index) {
    Page& page = pages_[index];
    if (page.unseen == 0) return false;
    --page.unseen;
    return true;
}

}  // namespace fmvm::lockstep
