// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/hot_pages.h"

#include <algorithm>

#include "base/check.h"

namespace fmvm::lockstep {

bool HotPages::logged(PageIndex index, EpochId epoch) {
    Page& page = pages_[index];
    if (page.state == State::unseen) return false;
    if (page.state == State::hot) {
        if (page.share >= share_cold) return false;
        cool(page);
    }
    const auto now = static_cast<std::uint32_t>(epoch);
    const std::uint32_t since = page.last_epoch != 0 ? now - page.last_epoch : UINT32_MAX;
    page.last_epoch = now;
    page.state = since <= hot_within ? State::warm : State::cold;
    if (since > hot_within >> page.cooled || hot_count_ == hot_max_) return true;
    page.state = State::hot;
    page.share = share_at_first;
    ++hot_count_;
    return false;
}

// When the page was written last is not known, because a hot page is always in the log.
void HotPages::cool(Page& page) {
    FMVM_CHECK(hot_count_ != 0);
    page.state = State::cold;
    page.last_epoch = 0;
    page.cooled = std::min<std::uint8_t>(page.cooled + 1, cooled_max);
    --hot_count_;
}

void HotPages::compared(PageIndex index, Change change) {
    Page& page = pages_[index];
    if (page.state != State::hot && page.state != State::unseen) return;
    const int target = change != Change::none ? UINT8_MAX : 0;
    page.share = static_cast<std::uint8_t>(page.share + (target - page.share) / 8);
    const bool trusted = page.share >= share_trusted;
    if (trusted) page.cooled = 0;
    const unsigned times = change == Change::rewritten ? page.rewritten + 1U : 0U;
    page.rewritten = std::min<unsigned>(times, unseen_max) & 0xf;
    page.unseen_epochs = trusted ? page.rewritten : 0;
    page.state = page.unseen_epochs != 0 ? State::unseen : State::hot;
}

bool HotPages::take_unseen(PageIndex index) {
    Page& page = pages_[index];
    if (page.state != State::unseen) return false;
    FMVM_CHECK(page.unseen_epochs != 0);
    if (--page.unseen_epochs == 0) page.state = State::hot;
    return true;
}

}  // namespace fmvm::lockstep
