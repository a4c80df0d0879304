// SPDX-License-Identifier: Apache-2.0
// One line of text in a fixed buffer; what does not fit is cut off.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bare {

struct Hex {
    uint64_t value;
    int digits = 1;  // at least so many
};

// value / 10^places
struct Decimal {
    uint64_t value;
    int places;
};

class Text {
  public:
    static constexpr size_t kCapacity = 512;

    std::string_view view() const { return {buffer_, size_}; }
    void clear() { size_ = 0; }

    Text& operator<<(char c) {
        if (size_ < kCapacity) buffer_[size_++] = c;
        return *this;
    }
    Text& operator<<(std::string_view text) {
        for (char c : text)
            *this << c;
        return *this;
    }
    Text& operator<<(const char* text) { return *this << std::string_view(text); }
    template <std::unsigned_integral T>
    requires(!std::same_as<T, char> && !std::same_as<T, bool>) Text& operator<<(T value) {
        return digits(value, 10, 1);
    }
    Text& operator<<(Hex hex) { return digits(hex.value, 16, hex.digits); }
    Text& operator<<(Decimal decimal);

  private:
    Text& digits(uint64_t value, unsigned base, int minimum);

    char buffer_[kCapacity];
    size_t size_ = 0;
};

}  // namespace bare
