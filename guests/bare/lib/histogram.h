// SPDX-License-Identifier: Apache-2.0
// Counts by magnitude: 32 buckets for each power of two, so that a percentile is true to 3 %.
#pragma once

#include <bit>
#include <cstdint>

namespace bare {

class Histogram {
  public:
    void add(uint64_t value) {
        ++buckets_[bucket(value)];
        ++count_;
        if (value > largest_) largest_ = value;
    }

    uint64_t count() const { return count_; }
    uint64_t largest() const { return largest_; }

    // The value that `per_10000` of all are not above.
    uint64_t percentile(uint64_t per_10000) const {
        const uint64_t wanted = (count_ * per_10000 + 9999) / 10000;
        uint64_t seen = 0;
        for (uint32_t i = 0; i < kBuckets; ++i) {
            seen += buckets_[i];
            if (seen >= wanted && seen != 0)
                return upper_end(i) < largest_ ? upper_end(i) : largest_;
        }
        return largest_;
    }

  private:
    static constexpr uint32_t kSubBits = 5;
    static constexpr uint32_t kBuckets = (64 - kSubBits + 1) << kSubBits;

    static uint32_t shift_of(uint64_t value) {
        const auto width = static_cast<uint32_t>(std::bit_width(value));
        return width > kSubBits + 1 ? width - kSubBits - 1 : 0;
    }
    static uint32_t bucket(uint64_t value) {
        const uint32_t shift = shift_of(value);
        return (shift << kSubBits) + static_cast<uint32_t>(value >> shift);
    }
    static uint64_t upper_end(uint32_t index) {
        if (index < 2u << kSubBits) return index;
        const uint32_t shift = (index >> kSubBits) - 1;
        const uint64_t top = index - (shift << kSubBits);
        return ((top + 1) << shift) - 1;
    }

    uint64_t buckets_[kBuckets + (1 << kSubBits)] = {};
    uint64_t count_ = 0;
    uint64_t largest_ = 0;
};

}  // namespace bare
