// SPDX-License-Identifier: Apache-2.0
// The address of a network interface card on its Ethernet.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fmvm {

struct MacAddress {
    std::array<std::uint8_t, 6> bytes{};

    // IEEE 802: the lowest bit of the first byte is that of groups, the next that of addresses
    // which no manufacturer has assigned.
    bool is_group() const { return (bytes[0] & 1) != 0; }
    auto operator<=>(const MacAddress&) const = default;
};

// "52:54:00:12:34:56"
std::string to_text(const MacAddress& address);
// Refuses what no card may have: an address of a group, or zero.
Result<MacAddress> parse_mac_address(std::string_view text);

// The address of a card that was given none: locally administered, the same on every host and after
// every start for the same `owner` (the VM's identity) and number.
MacAddress derived_mac_address(std::string_view owner, unsigned number);

}  // namespace fmvm
