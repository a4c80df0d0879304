// SPDX-License-Identifier: Apache-2.0
// Which pages are hot: written so often that watching them anew would cost the guest more in faults
// (2 to 7 us each, and more on a busy host) than copying and comparing them at every cut (about
// 1 us). A hot page is left writable and logged, copied at each cut and compared with the copy sent
// last. It cools when it changes in fewer epochs than that is worth, and is watched again; whoever
// cools must be written more often to become hot once more.
//
// Not only pages written in epoch after epoch: a guest with a large working set is slowed down by
// the faults themselves, so that one pass over it takes several epochs, until they are spared.
//
// A hot page that changes in nearly every epoch and is found rewritten from end to end, time after
// time, gains nothing from being compared: for as many epochs as that has happened it is sent
// unseen, and no copy of it is kept.
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
    // hot_max: how many pages may be hot at a time; 0 switches the mechanism off.
    HotPages(std::uint64_t page_count, std::size_t hot_max)
        : pages_(page_count), hot_max_(hot_max) {}

    // At the cut of `epoch`, for each logged page: true when it is to be watched anew.
    bool logged(PageIndex page, EpochId epoch);
    // Beside the guest, for a page that the cut copied: how its content had changed. `rewritten`:
    // so that a difference is no smaller than the page.
    enum class Change { none, some, rewritten };
    void compared(PageIndex page, Change change);
    // Beside the guest, before it would be compared: whether it is to be sent as it is, this once.
    bool take_unseen(PageIndex page);

    // A copy of it will be of use at the next cut: written again lately, and to be compared.
    bool is_warm(PageIndex page) const {
        return (pages_[page].hot || pages_[page].again) && pages_[page].unseen == 0;
    }

    // Written again within so many epochs, a page becomes hot; a half, a quarter, ... of that when
    // it has cooled once, twice, ...
    static constexpr std::uint32_t hot_within = 8;
    static constexpr std::uint8_t cooled_max = 3;
    // How often a hot page has changed lately, of 256 epochs; each epoch counts an eighth.
    static constexpr std::uint8_t share_at_first = 128;
    static constexpr std::uint8_t share_cold = 64;  // below, it cools
    // From here on its past is forgotten, and it may be sent unseen.
    static constexpr std::uint8_t share_trusted = 192;
    // At most so many epochs unseen: what is hot but no longer written is found out after them.
    static constexpr std::uint8_t unseen_max = 8;

  private:
    struct Page {
        std::uint32_t last_epoch = 0;    // in which it was logged; low bits, 0: never
        std::uint8_t share = 0;          // of a hot page
        std::uint8_t cooled = 0;         // times, lately
        std::uint8_t rewritten : 4 = 0;  // of a hot page: times in a row
        std::uint8_t unseen : 4 = 0;     // epochs left in which it is not compared
        bool again : 1 = false;          // it was logged twice within hot_within epochs
        bool hot : 1 = false;
    };
    ZeroArray<Page> pages_;
    std::size_t hot_max_;
    std::size_t hot_count_ = 0;
};

}  // namespace fmvm::lockstep
