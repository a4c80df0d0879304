// SPDX-License-Identifier: Apache-2.0
#include "lockstep/checkpoint/sent_copies.h"

#include <utility>

namespace fmvm::lockstep {

SentCopies::~SentCopies() {
    for (const Copy& copy : kept_)
        store_.free(copy.slot);
}

void SentCopies::keep(PageIndex page, PageStore::Slot slot) {
    if (places_[page] != 0) {
        store_.free(std::exchange(kept_[places_[page] - 1].slot, slot));
        return;
    }
    kept_.push_back({page, slot});
    places_[page] = static_cast<std::uint32_t>(kept_.size());
}

void SentCopies::drop(PageIndex page) {
    if (places_[page] != 0) drop_at(places_[page] - 1);
}

void SentCopies::drop_at(std::size_t index) {
    const Copy copy = kept_[index];
    store_.free(copy.slot);
    kept_[index] = kept_.back();
    places_[kept_[index].page] = static_cast<std::uint32_t>(index + 1);
    kept_.pop_back();
    places_[copy.page] = 0;
}

}  // namespace fmvm::lockstep
