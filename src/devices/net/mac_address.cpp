// SPDX-License-Identifier: Apache-2.0
#include "devices/net/mac_address.h"

#include <algorithm>
#include <charconv>

#include "base/digest.h"

namespace fmvm {

namespace {

constexpr std::size_t text_size = 17;  // six pairs of digits, five colons between them

}  // namespace

std::string to_text(const MacAddress& address) {
    const auto& b = address.bytes;
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", b[0], b[1], b[2], b[3], b[4],
                       b[5]);
}

Result<MacAddress> parse_mac_address(std::string_view text) {
    const auto refuse = [text] {
        return make_error("'{}' is not a MAC address like 52:54:00:12:34:56", text);
    };
    if (text.size() != text_size) return refuse();
    MacAddress address;
    for (std::size_t i = 0; i < address.bytes.size(); ++i) {
        const char* const pair = text.data() + 3 * i;
        const auto [end, error] = std::from_chars(pair, pair + 2, address.bytes[i], 16);
        if (error != std::errc() || end != pair + 2) return refuse();
        if (i + 1 < address.bytes.size() && pair[2] != ':') return refuse();
    }
    if (address.is_group())
        return make_error("{} is the address of a group; make its first byte even", text);
    if (address == MacAddress()) return make_error("{} is nobody's address; give another", text);
    return address;
}

MacAddress derived_mac_address(std::string_view owner, unsigned number) {
    const std::uint64_t digest =
        digest_of({reinterpret_cast<const std::uint8_t*>(owner.data()), owner.size()}, number);
    MacAddress address;
    for (std::size_t i = 0; i < address.bytes.size(); ++i)
        address.bytes[i] = static_cast<std::uint8_t>(digest >> 8 * i);
    constexpr std::uint8_t group = 1;
    constexpr std::uint8_t local = 2;
    address.bytes[0] = static_cast<std::uint8_t>((address.bytes[0] & ~group) | local);
    return address;
}

}  // namespace fmvm
