// SPDX-License-Identifier: Apache-2.0
// The secret by which the two sides of a pair know each other: a key of 256 bits in a file that
// both hosts have a copy of (docs/protocol.md, "TLS").
//
// The file has one line for each key, of 64 hexadecimal digits. While keys are changed there are
// two: the first is the one that a side offers, and either is accepted.
//
// A key is for one VM, unless an operator gives it to several.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fmvm::lockstep {

struct TlsKey {
    std::array<std::uint8_t, 32> bytes{};
    bool operator==(const TlsKey&) const = default;
};

// One, or two.
using TlsKeys = std::vector<TlsKey>;
inline constexpr std::size_t tls_keys_max = 2;

// What stands in a key file. An error never shows any of it.
Result<TlsKeys> parse_tls_keys(std::string_view text);

// Errors name the file, and blame who gave it. Refused is a file that others may read, or that
// belongs to another user. Any thread; waits for the file system.
Result<TlsKeys> read_tls_keys(const std::string& path);

// Makes a file with a new key, for its owner only, durably. What is there stays, and is an error.
Result<void> create_tls_key(const std::string& path);

}  // namespace fmvm::lockstep
