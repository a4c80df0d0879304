// SPDX-License-Identifier: Apache-2.0
// A network card of the guest: plain values, validated.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "devices/net/mac_address.h"

namespace fmvm::node {

struct NetOptions {
    enum class Kind { tap, descriptor, socket };
    Kind kind = Kind::tap;
    std::string name;    // of the TAP, or the socket's path
    std::string bridge;  // for a TAP that is made; empty: none
    int descriptor = -1;
    std::optional<MacAddress> mac;  // none: derived from who the guest is
    std::uint16_t mtu = 1500;
    bool operator==(const NetOptions&) const = default;
};

// As it was given: "tap=tap0".
std::string to_text(const NetOptions& options);

}  // namespace fmvm::node
