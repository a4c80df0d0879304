// SPDX-License-Identifier: Apache-2.0
// Where a side listens or connects: a numeric address and a port.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace fmvm::lockstep {

// "ADDR:PORT", "[V6ADDR]:PORT"; port 0 is fine for listening.
struct Endpoint {
    std::string address;
    std::uint16_t port = 0;
    std::string text() const;
    bool is_loopback() const;
    static Result<Endpoint> parse(const std::string& text);
};

}  // namespace fmvm::lockstep
