// SPDX-License-Identifier: Apache-2.0
// A set of the numbers below a bound, one bit each. Numbers given must lie below it.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

namespace fmvm {

// Calls visit(i, bits) for each word that holds some of the numbers from `first` to below `end`,
// and with the bits of these.
template <typename Visit>
void for_each_word(std::uint64_t first, std::uint64_t end, Visit visit) {
    while (first < end) {
        const std::uint64_t word = first / 64;
        const std::uint64_t stop = std::min(end, (word + 1) * 64);
        visit(word, ~std::uint64_t{0} >> (64 - (stop - first)) << (first % 64));
        first = stop;
    }
}

template <typename Index>
class BitSet {
  public:
    BitSet() = default;
    explicit BitSet(std::uint64_t bound) : words_((bound + 63) / 64), bound_(bound) {}

    std::uint64_t bound() const { return bound_; }
    bool contains(Index index) const { return (words_[index / 64] >> (index % 64) & 1) != 0; }
    void insert(Index index) { words_[index / 64] |= std::uint64_t{1} << (index % 64); }
    void erase(Index index) { words_[index / 64] &= ~(std::uint64_t{1} << (index % 64)); }
    // Those from `first` to below `end`.
    void insert_range(Index first, Index end) {
        for_each_word(first, end, [this](auto i, auto bits) { words_[i] |= bits; });
    }
    void erase_range(Index first, Index end) {
        for_each_word(first, end, [this](auto i, auto bits) { words_[i] &= ~bits; });
    }
    void insert_all() {
        words_.assign(words_.size(), ~std::uint64_t{0});
        trim();
    }
    void subtract(const BitSet& other) {
        for (std::size_t i = 0; i < words_.size() && i < other.words_.size(); ++i)
            words_[i] &= ~other.words_[i];
    }
    void clear() { words_.assign(words_.size(), 0); }
    void merge(const BitSet& other) {
        for (std::size_t i = 0; i < words_.size() && i < other.words_.size(); ++i)
            words_[i] |= other.words_[i];
        trim();
    }
    // Forgets bits that somebody else set beyond the bound (see words()).
    void trim() {
        if (bound_ % 64 != 0) words_.back() &= ~std::uint64_t{0} >> (64 - bound_ % 64);
    }
    std::uint64_t size() const {
        std::uint64_t count = 0;
        for (const std::uint64_t word : words_)
            count += static_cast<std::uint64_t>(std::popcount(word));
        return count;
    }

    template <typename Visit>
    void for_each(Visit visit) const {
        for (std::size_t i = 0; i < words_.size(); ++i) {
            for (std::uint64_t word = words_[i]; word != 0; word &= word - 1)
                visit(static_cast<Index>(i * 64) + static_cast<Index>(std::countr_zero(word)));
        }
    }

    // The smallest number in the set that is not below `from`; bound() when there is none.
    std::uint64_t next(std::uint64_t from) const {
        for (std::size_t i = from / 64; i < words_.size(); ++i) {
            std::uint64_t word = words_[i];
            if (i == from / 64) word &= ~std::uint64_t{0} << (from % 64);
            if (word != 0) return i * 64 + static_cast<std::uint64_t>(std::countr_zero(word));
        }
        return bound_;
    }

    // The same for what is not in the set.
    std::uint64_t next_absent(std::uint64_t from) const {
        for (std::size_t i = from / 64; i < words_.size(); ++i) {
            std::uint64_t absent = ~words_[i];
            if (i == from / 64) absent &= ~std::uint64_t{0} << (from % 64);
            if (absent == 0) continue;
            return std::min(bound_, i * 64 + static_cast<std::uint64_t>(std::countr_zero(absent)));
        }
        return bound_;
    }

    // Bit i of word i/64 is number i.
    std::span<std::uint64_t> words() { return words_; }
    std::span<const std::uint64_t> words() const { return words_; }

  private:
    std::vector<std::uint64_t> words_;
    std::uint64_t bound_ = 0;
};

}  // namespace fmvm
