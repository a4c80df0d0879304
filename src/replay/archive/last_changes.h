// SPDX-License-Identifier: Apache-2.0
// For each byte of a disk: the number of the last record that changed it. Takes memory for each
// record at most, however much of the disk that changed. Threads: one at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

namespace fmvm::replay {

class LastChanges {
  public:
    // Numbers grow from call to call. Here and below: a length is not 0, and what it reaches to
    // does not overflow.
    void add(std::uint64_t offset, std::uint64_t length, std::uint64_t number) {
        const std::uint64_t end = offset + length;
        cut_at(offset);
        cut_at(end);
        ranges_.erase(ranges_.lower_bound(offset), ranges_.lower_bound(end));
        ranges_.emplace(offset, Range{end, number});
    }

    // The latest number of any of these bytes; 0: none was changed.
    std::uint64_t latest(std::uint64_t offset, std::uint64_t length) const {
        std::uint64_t number = 0;
        auto range = ranges_.upper_bound(offset);
        if (range != ranges_.begin()) --range;
        for (; range != ranges_.end() && range->first < offset + length; ++range) {
            if (range->second.end > offset) number = std::max(number, range->second.number);
        }
        return number;
    }

  private:
    struct Range {
        std::uint64_t end;
        std::uint64_t number;
    };

    // A range that reaches across becomes two.
    void cut_at(std::uint64_t offset) {
        auto range = ranges_.lower_bound(offset);
        if (range == ranges_.begin()) return;
        --range;
        if (range->second.end <= offset) return;
        ranges_.emplace(offset, range->second);
        range->second.end = offset;
    }

    std::map<std::uint64_t, Range> ranges_;  // by start; they do not overlap
};

}  // namespace fmvm::replay
