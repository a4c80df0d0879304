// SPDX-License-Identifier: Apache-2.0
// The world outside: sees every byte that leaves any console, and remembers.
//
// A guest draws a fresh random word for each line, so that going through the same moment twice
// yields another line: what was shown can be contradicted, as with a real guest.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "sim/timeline.h"

namespace fmvm::sim {

// "00000012 8f3a67c1\n": the line's number and the guest's random word.
inline constexpr std::size_t line_bytes = 18;

inline std::string make_line(std::uint64_t number, std::uint64_t word) {
    return fmt::format("{:08} {:08x}\n", number, word & 0xffffffff);
}

class Observer {
  public:
    explicit Observer(Timeline& timeline) : timeline_(timeline) {}

    // `position`: of the first byte in the guest's output.
    void sees(const std::string& who, std::uint64_t position, std::span<const std::uint8_t> bytes) {
        if (position > seen_.size())
            timeline_.broken("{} shows byte {} after {}: a gap", who, position, seen_.size());
        for (const std::uint8_t byte : bytes) {
            if (position < seen_.size() && static_cast<std::uint8_t>(seen_[position]) != byte)
                timeline_.broken("{} contradicts byte {}", who, position);
            if (position == seen_.size()) {
                append(static_cast<char>(byte));
            } else {
                ++repeated_;
            }
            ++position;
        }
    }
    std::uint64_t end() const { return seen_.size(); }
    // Bytes that were shown once more.
    std::uint64_t repeated() const { return repeated_; }
    std::uint64_t lines() const { return seen_.size() / line_bytes; }

  private:
    void append(char byte) {
        seen_.push_back(byte);
        if (seen_.size() % line_bytes != 0) return;
        const std::uint64_t number = lines() - 1;
        if (seen_.compare(number * line_bytes, 9, make_line(number, 0), 0, 9) != 0)
            timeline_.broken("line {} is not what it should be", number);
    }

    Timeline& timeline_;
    std::string seen_;
    std::uint64_t repeated_ = 0;
};

}  // namespace fmvm::sim
