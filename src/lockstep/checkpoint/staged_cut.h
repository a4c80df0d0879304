// SPDX-License-Identifier: Apache-2.0
// The pages of the last cut: copied while the guest stands, handed out beside it to be packed.
//
// The page store is bounded. A page that finds no slot stays in guest RAM, and the guest must stand
// until that page has been packed.
//
//     empty --stage()--> whole --take()--> partly taken --take()--> empty
//
// Threads: the replication thread; stage() lets a helper take part.
#pragma once

#include <memory>
#include <vector>

#include "lockstep/checkpoint/page_store.h"
#include "lockstep/checkpoint/shared_work.h"
#include "lockstep/wire/page_codec.h"
#include "replay/record/reference_rule.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm::lockstep {

class StagedCut : public replay::CutPages {
  public:
    struct Page {
        PageIndex page;
        PageStore::Slot slot;  // none: the page is in the RAM of the guest, which stands
    };

    // memory outlives this.
    StagedCut(GuestMemory& memory, std::shared_ptr<PageStore> store);
    ~StagedCut() override { drop(); }
    StagedCut(const StagedCut&) = delete;
    StagedCut& operator=(const StagedCut&) = delete;

    // Copies these pages, `count` of them, as far as the store has slots. While the guest stands,
    // and nothing is left of the cut before.
    void stage(const PageSet& dirty, std::uint64_t count);
    // Every page found a slot, or those that did not are packed: the guest may go on.
    bool fits() const { return fits_; }
    bool empty() const { return pages_.empty(); }

    // The page's content as of the cut. Only while no page was taken.
    const std::uint8_t* find(PageIndex page) const override;

    // The next page, ascending. Its slot belongs to the caller from now on. The pages must be
    // packed before the guest runs again, if they do not fit; finish() says that they are.
    bool has_next() const { return next_ != pages_.size(); }
    Page take();
    PageBytes bytes(const Page& page) const;
    // Every page was taken and packed.
    void finish();
    // Gives back the slots of pages that were not taken.
    void drop();

  private:
    void copy_chunk(std::size_t chunk);

    GuestMemory& memory_;
    const std::shared_ptr<PageStore> store_;
    std::vector<Page> pages_;  // ascending
    std::size_t next_ = 0;     // those before it were taken
    bool fits_ = true;
    SharedWork work_;
};

}  // namespace fmvm::lockstep
