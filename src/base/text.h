// SPDX-License-Identifier: Apache-2.0
// Text from outside (guest, peer, files) that is shown to people: control characters in it could
// drive a terminal or forge a log line.
#pragma once

#include <algorithm>
#include <string>

namespace fmvm {

constexpr bool is_control(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
}

inline std::string without_controls(std::string text) {
    std::ranges::replace_if(text, is_control, '?');
    return text;
}

}  // namespace fmvm
