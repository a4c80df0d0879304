// SPDX-License-Identifier: Apache-2.0
// Which pages are hot: the guest writes them so often that watching them anew would cost it more in
// faults (2 to 7 us each, and more on a busy host) than copying and comparing them at every cut
// costs us (about 1 us). A hot page stays writable and in the dirty log. Each cut copies it and
// compares it with the copy that was sent last.
//
// What is known of a page:
//
//              logged() soon again, and there is room
//       +------------------------------------------------------+
//       |                                                      v
//     cold <------------------> warm ----------------------> hot <------------------> unseen
//       ^   logged() within             logged() soon again,   |   compared() rewritten,
//       |   hot_within, or later        and there is room      |   time after time;
//       |                                                      |   take_unseen() as often
//       +------------------------------------------------------+
//              logged(), and it hardly changes any more
//
//   - cold: the dirty log has not named it, or seldom. It is watched.
//   - warm: the dirty log names it often, but not often enough, or there is no room. It is watched.
//   - hot: it is not watched. A page that changes in too few epochs cools: its faults would cost
//     less. After that it must be written sooner again to become hot, the more often it has cooled.
//   - unseen: a hot page that changes in nearly every epoch, and that each comparison found
//     rewritten from end to end. It gains nothing from being compared. For as many epochs as that
//     has happened in a row it is sent without a comparison, and nobody keeps a copy of it.
//
// Pages need not be written in epoch after epoch to become hot. The faults themselves slow down a
// guest with a large working set, so that one pass over it takes several epochs until they are
// spared.
//
// Pure: pages are numbers. Threads: the replication thread.
#pragma once

#include <cstdint>

#include "base/zero_array.h"
#include "lockstep/wire/messages.h"
#include "vmm/memory/page_set.h"

namespace fmvm::lockstep {

class HotPages {
  public:
    // hot_max: how many pages may be hot or unseen at a time; 0 switches the mechanism off.
    HotPages(std::uint64_t page_count, std::size_t hot_max)
        : pages_(page_count), hot_max_(hot_max) {}

    enum class State : std::uint8_t { cold, warm, hot, unseen };
    State state(PageIndex page) const { return pages_[page].state; }

    // At the cut of `epoch`, for each page that the dirty log names: whether it is to be watched
    // anew.
    bool logged(PageIndex index, EpochId epoch);
    // Beside the guest, for a page that the cut copied: how its content had changed. `rewritten`:
    // so that a difference is no smaller than the page.
    enum class Change { none, some, rewritten };
    void compared(PageIndex index, Change change);
    // Beside the guest, before the page would be compared: whether it is to be sent as it is, this
    // once.
    bool take_unseen(PageIndex index);

    // A copy of what is sent now will be of use at the next cut, which is likely to have the page
    // and to compare it.
    bool wants_copy(PageIndex page) const {
        return state(page) == State::warm || state(page) == State::hot;
    }

    // Logged again within so many epochs, a page becomes hot; within a half, a quarter, ... of that
    // when it has cooled once, twice, ...
    static constexpr std::uint32_t hot_within = 8;
    static constexpr std::uint8_t cooled_max = 3;
    // The share of the last epochs, of 256, in which a hot page changed; each epoch counts an
    // eighth.
    static constexpr std::uint8_t share_at_first = 128;
    static constexpr std::uint8_t share_cold = 64;  // below, it cools
    // From here on it is forgotten how often the page has cooled, and it may be sent unseen.
    static constexpr std::uint8_t share_trusted = 192;
    // At most so many epochs unseen: what is no longer written is found out after them.
    static constexpr std::uint8_t unseen_max = 8;

  private:
    struct Page {
        std::uint32_t last_epoch = 0;  // in which it was logged last; low bits, 0: never
        State state = State::cold;
        std::uint8_t share = 0;              // of a hot page
        std::uint8_t cooled = 0;             // how often, lately
        std::uint8_t rewritten : 4 = 0;      // how often in a row, while hot
        std::uint8_t unseen_epochs : 4 = 0;  // that are left; not 0 in state unseen only
    };
    void cool(Page& page);

    ZeroArray<Page> pages_;
    std::size_t hot_max_;
    std::size_t hot_count_ = 0;  // pages that are hot or unseen
};

}  // namespace fmvm::lockstep
