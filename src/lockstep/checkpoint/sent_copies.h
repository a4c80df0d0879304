// SPDX-License-Identifier: Apache-2.0
// Copies of what was sent last, for some pages: what the backup has there. They show whether a page
// has changed, and let only the difference travel.
//
// Threads: the replication thread.
#pragma once

#include <vector>

#include "base/zero_array.h"
#include "lockstep/checkpoint/page_store.h"
#include "vmm/memory/page_set.h"

namespace fmvm::lockstep {

class SentCopies {
  public:
    // Slots come from, and go back to, `store`, which outlives this.
    SentCopies(PageStore& store, std::uint64_t page_count) : store_(store), places_(page_count) {}
    SentCopies(const SentCopies&) = delete;
    SentCopies& operator=(const SentCopies&) = delete;
    ~SentCopies();

    // The slot of the copy; none if there is none.

    PageStore::Slot find(PageIndex page) const {
        return places_[page] == 0 ? PageStore::none : kept_[places_[page] - 1].slot;
    }
    // The slot belongs to this from now on; an older copy of the page is freed.
    void keep(PageIndex page, PageStore::Slot slot);
    void drop(PageIndex page);
    // Frees copies until the store has `wanted` free slots, or no copy is left. Pages for which
    // spare(page) holds come last.
    template <typename Spare>
    void make_room(std::size_t wanted, Spare spare) {
        for (const bool spare_some : {true, false}) {
            for (std::size_t i = 0; i < kept_.size() && store_.free_count() < wanted;) {
                if (spare_some && spare(kept_[i].page)) {
                    ++i;
                } else {
                    drop_at(i);
                }
            }
        }
    }

  private:
    void drop_at(std::size_t index);

    struct Copy {
        PageIndex page;
        PageStore::Slot slot;
    };
    PageStore& store_;
    std::vector<Copy> kept_;           // in no order
    ZeroArray<std::uint32_t> places_;  // of each page, where in kept_, counted from 1; 0: nowhere
};

}  // namespace fmvm::lockstep
