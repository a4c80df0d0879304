// SPDX-License-Identifier: Apache-2.0
// Which pages are hot: written so often that watching them anew would cost the guest more in faults
// (2 to 7 us each, and more on a busy host) than copying and comparing them at every cut (about
// 1 us). A hot page is left writable and logged, copied at each cut and compared with the copy sent
// last; when it has not changed for some epochs it is watched again.
//
// Not only pages written in epoch after epoch: a guest with a large working set is slowed down by
// the faults themselves, so that one pass over it takes several epochs, until they are spared.
//
// Pure: pages are numbers. Threads: the replication thread.
#pragma once

#include <cstdint>
#include <vector>

#include "lockstep/protocol.h"
#include "vmm/page_set.h"

namespace fmvm::lockstep {

class HotPages {
  public:
    // hot_max: how many pages may be hot at a time; 0 switches the mechanism off.
    HotPages(std::uint64_t page_count, std::size_t hot_max)
        : pages_(page_count), hot_max_(hot_max) {}

    // At the cut of `epoch`, for each logged page: true when it is to be watched anew.
    bool logged(PageIndex page, EpochId epoch);
    // Beside the guest, for a page that the cut copied: whether its content had changed.
    void compared(PageIndex page, bool changed);

    // Written again lately: a copy of it will be of use at the next cut.
    bool is_warm(PageIndex page) const { return pages_[page].hot || pages_[page].again; }

    // Written again within so many epochs, a page becomes hot; unchanged for so many, it cools.
    static constexpr std::uint32_t hot_within = 8;
    static constexpr std::uint8_t cold_after = 8;

  private:
    struct Page {
        std::uint32_t last_epoch = 0;  // in which it was logged; low bits, 0: never
        std::uint8_t unchanged = 0;    // epochs in a row in which a hot page had not changed
        bool again = false;            // it was logged twice within hot_within epochs
        bool hot = false;
    };
    std::vector<Page> pages_;
    std::size_t hot_max_;
    std::size_t hot_count_ = 0;
};

}  // namespace fmvm::lockstep
