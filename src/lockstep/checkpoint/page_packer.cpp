// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/page_packer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace fmvm::lockstep {

namespace {

constexpr std::size_t body_target = 512 * kib;
static_assert(body_target + page_record_max <= frame_body_max);

// Neither nothing nor a difference: all of the page's content travels.
bool is_whole(PageEncoding encoding) {
    return encoding == PageEncoding::raw || encoding == PageEncoding::lz4;
}

}  // namespace

PagePacker::PagePacker(std::shared_ptr<PageStore> store, std::uint64_t page_count,
                       const Options& options)
    : store_(std::move(store)),
      options_(options),
      hot_(page_count, options.hot_pages_max),
      copies_(*store_, page_count) {}

void PagePacker::make_room(const PageSet& dirty, std::uint64_t count) {
    copies_.make_room(count, [&dirty](PageIndex page) { return dirty.contains(page); });
}

void PagePacker::begin_epoch() {
    counts_ = {};
    lz4_left_ = options_.lz4_pages_max;
}

// What the backup has of such a page is what its disk holds, not what was sent last.
void PagePacker::filled_outside_cut(PageIndex page) {
    copies_.drop(page);
    ++counts_.filled;
}

GatheredBody PagePacker::next(EpochId epoch, StagedCut& cut, std::span<const PageIndex> filled) {
    GatheredBody body(begin_pages_body(epoch));
    const auto lease = std::make_shared<SlotLease>(store_);
    const std::size_t header_size = body.size();
    while (cut.has_next() && body.size() < body_target) {
        const StagedCut::Page staged = cut.take();
        if (std::ranges::binary_search(filled, staged.page)) {
            skip_filled(staged);
        } else {
            pack(staged, cut.bytes(staged), body, *lease);
        }
    }
    if (body.size() == header_size) return {};
    if (body.refers()) body.keep(lease);
    return body;
}

// Like a comparison that found nothing: a read costs the guest no fault.
void PagePacker::skip_filled(const StagedCut::Page& staged) {
    ++counts_.filled;
    hot_.compared(staged.page, HotPages::Change::none);
    keep_copy(staged);
}

void PagePacker::pack(const StagedCut::Page& staged, PageBytes now, GatheredBody& body,
                      SlotLease& lease) {
    const bool unseen = hot_.take_unseen(staged.page);
    const PageStore::Slot before_slot = copies_.find(staged.page);
    FMVM_CHECK(!unseen || before_slot == PageStore::none);
    const std::uint8_t* const before =
        before_slot == PageStore::none ? nullptr : store_->bytes(before_slot).data();
    if (before != nullptr && std::memcmp(before, now.data(), page_size) == 0) {
        ++counts_.unchanged;
        hot_.compared(staged.page, HotPages::Change::none);
        if (staged.slot != PageStore::none) store_->free(staged.slot);
        return;
    }
    const PageEncoding encoding = append(staged, now, before, body, lease);
    count(encoding);
    if (!unseen) {
        const bool rewritten = before != nullptr && is_whole(encoding);
        hot_.compared(staged.page,
                      rewritten ? HotPages::Change::rewritten : HotPages::Change::some);
    }
    keep_copy(staged);
}

PageEncoding PagePacker::append(const StagedCut::Page& staged, PageBytes now,
                                const std::uint8_t* before, GatheredBody& body, SlotLease& lease) {
    PageCompression compression = options_.compression;
    compression.lz4 &= lz4_left_ != 0;
    // A page in guest RAM is copied: the guest goes on before the body was sent.
    const bool in_place = staged.slot != PageStore::none;
    const PageEncoding encoding =
        in_place ? append_page_in_place(body, staged.page, now, before, compression)
                 : append_page(body.own(), staged.page, now, before, compression);
    if (in_place && encoding == PageEncoding::raw) lease.add(staged.slot);
    if (is_whole(encoding) && lz4_left_ != 0) --lz4_left_;  // it was tried
    return encoding;
}

// What the backup has of this page from now on.
void PagePacker::keep_copy(const StagedCut::Page& staged) {
    const bool in_store = staged.slot != PageStore::none;
    if (in_store && hot_.wants_copy(staged.page)) {
        copies_.keep(staged.page, staged.slot);
    } else {
        copies_.drop(staged.page);
        if (in_store) store_->free(staged.slot);
    }
}

void PagePacker::count(PageEncoding encoding) {
    ++counts_.records;
    if (encoding == PageEncoding::zero) ++counts_.zero;
    if (encoding == PageEncoding::delta) ++counts_.delta;
    if (encoding == PageEncoding::lz4) ++counts_.lz4;
}

}  // namespace fmvm::lockstep
