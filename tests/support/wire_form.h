// SPDX-License-Identifier: Apache-2.0
// What a message looks like on the wire, which must not change: another build of the same protocol
// version may run at the other end.
#pragma once

#include <fmt/ranges.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

namespace fmvm::test {

// `expected`: hexadecimal, with spaces between the fields.
template <typename Message>
void check_wire_form(const Message& message, std::string expected) {
    std::erase(expected, ' ');
    const auto body = message.encode();
    CHECK(fmt::format("{:02x}", fmt::join(body, "")) == expected);
    CHECK(Message::decode(body).ok());
}

}  // namespace fmvm::test
