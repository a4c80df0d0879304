// SPDX-License-Identifier: Apache-2.0
// What an attempt to move bytes over a connection came to.
#pragma once

#include <cstddef>
#include <string>

namespace fmvm::lockstep {

// What a socket has to be before another attempt.
enum class Needs { nothing, readable, writable };

// Either bytes have moved, or the attempt is to be made again, or the connection is lost.
struct Moved {
    std::size_t bytes = 0;
    Needs needs = Needs::nothing;
    std::string lost = {};  // why, in one sentence; empty: it is not

    bool is_lost() const { return !lost.empty(); }
};

// The usual reason: the peer has gone, with a word or without.
inline constexpr const char* peer_closed = "the peer closed the connection";

}  // namespace fmvm::lockstep
