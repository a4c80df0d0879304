// SPDX-License-Identifier: Apache-2.0
// Which pages are hot: written in each of the last epochs, so that watching them anew would only
// cost the guest a fault per page and epoch (2 to 7 us, against 0.5 us for copying and comparing).
// A hot page is left writable and logged, copied at each cut and compared with the copy sent last;
// when it has not changed for some epochs it is watched again.
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

    bool is_hot(PageIndex page) const { return pages_[page].hot; }
    // Written in this epoch and the one before: a copy of it will be of use at the next cut.
    bool is_warm(PageIndex page) const { return pages_[page].streak >= 2; }
    std::size_t hot_count() const { return hot_count_; }

    // In how many epochs in a row a page must be written to become hot, and be unchanged to cool.
    static constexpr std::uint8_t hot_after = 3;
    static constexpr std::uint8_t cold_after = 8;

  private:
    struct Page {
        std::uint32_t last_epoch = 0;  // low bits; only compared with the next one
        std::uint8_t streak = 0;       // epochs in a row in which it was logged
        std::uint8_t unchanged = 0;    // epochs in a row in which a hot page had not changed
        bool hot = false;
    };
    std::vector<Page> pages_;
    std::size_t hot_max_;
    std::size_t hot_count_ = 0;
};

}  // namespace fmvm::lockstep
