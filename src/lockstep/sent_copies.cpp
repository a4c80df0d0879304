// SPDX-License-Identifier: Apache-2.0
#include "lockstep/sent_copies.h"

#include <utility>

namespace fmvm::lockstep {

void SentCopies::keep(PageIndex page, PageStore::Slot slot) {
    if (slots_[page] != PageStore::none) {
        store_.free(slots_[page]);
        slots_[page] = slot;
        return;
    }
    if (position_.empty()) position_.resize(slots_.size());
    slots_[page] = slot;
    position_[page] = static_cast<std::uint32_t>(kept_.size());
    kept_.push_back(page);
}

void SentCopies::drop(PageIndex page) {
    if (slots_[page] != PageStore::none) drop_at(position_[page]);
}

void SentCopies::drop_at(std::size_t index) {
    const PageIndex page = kept_[index];
    store_.free(std::exchange(slots_[page], PageStore::none));
    kept_[index] = kept_.back();
    position_[kept_[index]] = static_cast<std::uint32_t>(index);
    kept_.pop_back();
}

}  // namespace fmvm::lockstep
