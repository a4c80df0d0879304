// SPDX-License-Identifier: Apache-2.0
// What stands in a file of the file arbiter: a few lines that people can read, too.
//
//     fmvm-arbiter 1 claim            (or: ended)
//     vm 00112233445566778899aabbccddeeff
//     generation 7
//     side alpha
//     time 1795370000                 (seconds since 1970, for people only)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lockstep/arbiter/generation.h"

namespace fmvm::lockstep {

struct ArbiterRecord {
    enum class Kind { claim, ended };

    Kind kind = Kind::claim;
    VmId vm{};
    Generation generation = 0;
    std::string side;
    std::int64_t time = 0;

    bool operator==(const ArbiterRecord&) const = default;

    std::string text() const;
    // Nothing unless `text` is exactly what text() makes.
    static std::optional<ArbiterRecord> parse(std::string_view text);

    // One line of printable ASCII.
    static bool is_valid_side(std::string_view side);
    static constexpr std::size_t side_bytes_max = 200;
    static constexpr std::size_t bytes_max = 512;
};

}  // namespace fmvm::lockstep
