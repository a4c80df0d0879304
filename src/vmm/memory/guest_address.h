// SPDX-License-Identifier: Apache-2.0
// A guest-physical address (GPA), with only the operators that mean something.
#pragma once

#include <compare>
#include <cstdint>

namespace fmvm {

class GuestAddress {
  public:
    constexpr GuestAddress() = default;
    constexpr explicit GuestAddress(std::uint64_t value) : value_(value) {}
    constexpr std::uint64_t value() const { return value_; }
    constexpr auto operator<=>(const GuestAddress&) const = default;

    // Wraps at 2^64; every access through GuestMemory checks the whole range anyway.
    constexpr GuestAddress operator+(std::uint64_t offset) const {
        return GuestAddress(value_ + offset);
    }
    constexpr std::uint64_t operator-(GuestAddress other) const { return value_ - other.value_; }

  private:
    std::uint64_t value_ = 0;
};

}  // namespace fmvm
