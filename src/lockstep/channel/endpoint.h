// SPDX-License-Identifier: Apache-2.0
// Where a side listens or connects: a numeric address and a port.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fmvm::lockstep {

// As text "ADDRESS:PORT" or "[V6ADDRESS]:PORT". Whoever listens may give port 0: the system then
// chooses one.
struct Endpoint {
    std::string address;
    std::uint16_t port = 0;
    std::string text() const;
    bool is_loopback() const;
    static Result<Endpoint> parse(const std::string& text);
};

// The address in such a text, without the port.
std::string_view address_in(std::string_view endpoint);
// What stands for one host where callers are counted: its address, or of an IPv6 address the
// network (/64) in which one host may have as many as it likes.
std::string network_in(std::string_view endpoint);

}  // namespace fmvm::lockstep
