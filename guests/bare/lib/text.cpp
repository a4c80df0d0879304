// SPDX-License-Identifier: Apache-2.0
#include "text.h"

namespace bare {

Text& Text::digits(uint64_t value, unsigned base, int minimum) {
    char reversed[64];
    int count = 0;
    while (value != 0 || count < minimum) {
        reversed[count++] = "0123456789abcdef"[value % base];
        value /= base;
    }
    while (count > 0)
        *this << reversed[--count];
    return *this;
}

Text& Text::operator<<(Decimal decimal) {
    uint64_t unit = 1;
    for (int i = 0; i < decimal.places; ++i)
        unit *= 10;
    digits(decimal.value / unit, 10, 1);
    if (decimal.places == 0) return *this;
    *this << '.';
    return digits(decimal.value % unit, 10, decimal.places);
}

}  // namespace bare
