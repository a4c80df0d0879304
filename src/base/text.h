// SPDX-License-Identifier: Apache-2.0
// Text from outside that is shown to people: it must neither drive a terminal nor forge a log line
// nor change the order in which a line is read.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace fmvm {

constexpr bool is_printable_ascii(char c) {
    return c >= 0x20 && c < 0x7f;
}

constexpr bool is_printable_ascii(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return is_printable_ascii(c); });
}

// Of a stranger's text: a peer's, a guest's, another program's. Each other byte becomes '?'.
inline std::string printable_ascii(std::string text) {
    std::ranges::replace_if(
        text, [](char c) { return !is_printable_ascii(c); }, '?');
    return text;
}

// Of a whole line, with names that the user gave, in any language. Control characters (C0 and C1),
// marks of direction and ends of lines and paragraphs become '?', and so does each byte that is not
// UTF-8.
std::string without_controls(std::string_view text);

}  // namespace fmvm
