// SPDX-License-Identifier: Apache-2.0
// Packs the pages of cuts for one backup, beside the running guest: as nothing when the backup has
// the same, as a difference when that is smaller, else as a whole.
//
// For that it knows which pages are hot (hot_pages.h), and keeps copies of what was sent last of
// those that are likely to be compared again (sent_copies.h).
//
// Threads: the replication thread.
#pragma once

#include <memory>
#include <span>

#include "lockstep/checkpoint/checkpoint_source.h"
#include "lockstep/checkpoint/hot_pages.h"
#include "lockstep/checkpoint/page_store.h"
#include "lockstep/checkpoint/sent_copies.h"
#include "lockstep/checkpoint/staged_cut.h"
#include "lockstep/wire/page_codec.h"

namespace fmvm::lockstep {

class PagePacker {
  public:
    struct Options {
        PageCompression compression;
        unsigned lz4_pages_max = 0;  // pages of an epoch that are tried with LZ4
        std::size_t hot_pages_max = 0;
    };
    PagePacker(std::shared_ptr<PageStore> store, std::uint64_t page_count, const Options& options);

    // At the cut of `epoch`, for each page that the dirty log names: whether it is to be watched
    // anew.
    bool logged(PageIndex page, EpochId epoch) { return hot_.logged(page, epoch); }
    // At a cut with so many dirty pages: as much room in the store for them as copies of sent ones
    // can give up.
    void make_room(const PageSet& dirty, std::uint64_t count);
    // A cut was taken. The counts begin anew.
    void begin_epoch();

    // The backup fills this page from its own disk, and the cut does not have it.
    void filled_outside_cut(PageIndex page);
    // The next body of the cut's pages; empty when no page is left that must travel. filled: the
    // pages that the backup fills from its own disk, ascending.
    GatheredBody next(EpochId epoch, StagedCut& cut, std::span<const PageIndex> filled);

    const PageCounts& counts() const { return counts_; }

  private:
    void pack(const StagedCut::Page& staged, PageBytes now, GatheredBody& body, SlotLease& lease);
    void skip_filled(const StagedCut::Page& staged);
    PageEncoding append(const StagedCut::Page& staged, PageBytes now, const std::uint8_t* before,
                        GatheredBody& body, SlotLease& lease);
    void keep_copy(const StagedCut::Page& staged);
    void count(PageEncoding encoding);

    const std::shared_ptr<PageStore> store_;
    const Options options_;
    HotPages hot_;
    SentCopies copies_;
    unsigned lz4_left_ = 0;  // pages of this epoch that may still be tried
    PageCounts counts_;
};

}  // namespace fmvm::lockstep
