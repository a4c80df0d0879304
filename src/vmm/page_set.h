// SPDX-License-Identifier: Apache-2.0
// A set of guest pages. Pages are numbered through all regions of GuestMemory in order, without
// the holes between them (MemoryRegion::first_page).
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

namespace fmvm {

using PageIndex = std::uint32_t;  // 16 TiB of RAM

class PageSet {
  public:
    PageSet() = default;
    explicit PageSet(std::uint64_t pages) : words_((pages + 63) / 64), pages_(pages) {}

    std::uint64_t page_count() const { return pages_; }
    bool contains(PageIndex page) const { return (words_[page / 64] >> (page % 64) & 1) != 0; }
    void insert(PageIndex page) { words_[page / 64] |= std::uint64_t{1} << (page % 64); }
    void erase(PageIndex page) { words_[page / 64] &= ~(std::uint64_t{1} << (page % 64)); }
    void insert_all() {
        for (PageIndex page = 0; page < pages_; ++page)
            insert(page);
    }
    void subtract(const PageSet& other) {
        for (std::size_t i = 0; i < words_.size() && i < other.words_.size(); ++i)
            words_[i] &= ~other.words_[i];
    }
    void clear() { words_.assign(words_.size(), 0); }
    void merge(const PageSet& other) {
        for (std::size_t i = 0; i < words_.size() && i < other.words_.size(); ++i)
            words_[i] |= other.words_[i];
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
            for (std::uint64_t word = words_[i]; word != 0; word &= word - 1) {
                visit(static_cast<PageIndex>(i * 64) +
                      static_cast<PageIndex>(std::countr_zero(word)));
            }
        }
    }

    // Bit i of word i/64 is page i.
    std::span<std::uint64_t> words() { return words_; }
    std::span<const std::uint64_t> words() const { return words_; }

  private:
    std::vector<std::uint64_t> words_;
    std::uint64_t pages_ = 0;
};

}  // namespace fmvm
