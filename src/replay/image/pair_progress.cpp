// SPDX-License-Identifier: Apache-2.0
#include "replay/image/pair_progress.h"

#include <algorithm>
#include <atomic>

#include "base/little_endian.h"

namespace fmvm::replay {

namespace {

// A part of a random id tells pairs apart well enough. Never 0, which is no pair's.
std::uint64_t tag_of(const LabelId& pair) {
    return load_le<std::uint64_t>(pair) | 1;
}

// The process may die between any two writes to the page. None crosses this.
void write_in_order() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace

PairProgress ProgressPage::under(const LabelId& pair) const {
    if (words_[pair_at] != tag_of(pair)) return {};
    return {words_[serial_at], words_[peer_serial_at], words_[sent_at], words_[heard_at]};
}

void ProgressPage::begin(const LabelId& pair) {
    words_[pair_at] = 0;
    write_in_order();
    std::ranges::fill(words_.subspan(pair_at + 1), 0);
    write_in_order();
    words_[pair_at] = tag_of(pair);
}

void ProgressPage::lose_steps(const LabelId& pair) {
    if (words_[pair_at] != tag_of(pair)) begin(pair);
    words_[sent_at] = PairProgress::lost;
}

}  // namespace fmvm::replay
