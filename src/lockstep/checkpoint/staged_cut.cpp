// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/staged_cut.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace fmvm::lockstep {

namespace {

// The helper takes part from so many chunks of pages on. To wake it takes as long as to copy a few.
constexpr std::size_t chunk_pages = 128;
constexpr std::size_t shared_chunks_min = 8;

}  // namespace

StagedCut::StagedCut(GuestMemory& memory, std::shared_ptr<PageStore> store)
    : memory_(memory), store_(std::move(store)) {}

void StagedCut::stage(const PageSet& dirty, std::uint64_t count) {
    FMVM_CHECK(empty());
    pages_.reserve(count);
    dirty.for_each([this](PageIndex page) {
        const PageStore::Slot slot = store_->allocate();
        pages_.push_back({page, slot});
        if (slot == PageStore::none) fits_ = false;
    });
    FMVM_CHECK(pages_.size() == count);
    const std::size_t chunks = (count + chunk_pages - 1) / chunk_pages;
    const auto copy = [this](std::size_t chunk) { copy_chunk(chunk); };
    if (chunks > shared_chunks_min) {
        work_.run(chunks, copy);
    } else {
        for (std::size_t chunk = 0; chunk < chunks; ++chunk)
            copy(chunk);
    }
}

// This thread or its helper.
void StagedCut::copy_chunk(std::size_t chunk) {
    const CopyBytes copy = copy_for(pages_.size() * page_size);
    const std::size_t end = std::min(pages_.size(), (chunk + 1) * chunk_pages);
    for (std::size_t i = chunk * chunk_pages; i < end; ++i) {
        if (pages_[i].slot == PageStore::none) continue;
        copy(memory_.page(pages_[i].page), store_->bytes(pages_[i].slot).data());
    }
}

const std::uint8_t* StagedCut::find(PageIndex page) const {
    FMVM_CHECK(next_ == 0);
    const auto staged = std::ranges::lower_bound(pages_, page, {}, &Page::page);
    if (staged == pages_.end() || staged->page != page) return nullptr;
    return bytes(*staged).data();
}

StagedCut::Page StagedCut::take() {
    FMVM_CHECK(has_next());
    return pages_[next_++];
}

PageBytes StagedCut::bytes(const Page& page) const {
    if (page.slot == PageStore::none) return memory_.page(page.page);
    return store_->bytes(page.slot);
}

void StagedCut::finish() {
    FMVM_CHECK(!has_next());
    drop();
}

void StagedCut::drop() {
    for (; has_next(); ++next_) {
        if (pages_[next_].slot != PageStore::none) store_->free(pages_[next_].slot);
    }
    pages_.clear();
    next_ = 0;
    fits_ = true;
}

}  // namespace fmvm::lockstep
