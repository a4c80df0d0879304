// SPDX-License-Identifier: Apache-2.0
// What a process and its sentinel say to each other. Both are the same program, so that plain
// structs travel, each as one packet of a socket pair.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "lockstep/channel/tls_key.h"

namespace fmvm::lockstep {

// Bytes to be sent as they are: the sentinel knows no format, and allocates nothing.
struct LastBytes {
    std::array<std::uint8_t, 256> bytes{};
    std::uint32_t size = 0;

    LastBytes() = default;
    explicit LastBytes(std::span<const std::uint8_t> from)
        : size(static_cast<std::uint32_t>(from.size())) {
        FMVM_CHECK(from.size() <= bytes.size());
        std::ranges::copy(from, bytes.begin());
    }
    std::span<const std::uint8_t> get() const { return {bytes.data(), size}; }
};

// To the sentinel: who is to be told, and what. Each replaces the one before.
struct LastWord {
    sockaddr_storage listener{};
    socklen_t listener_size = 0;  // 0: nobody is to be told anything
    bool under_tls = false;       // by this key; else in the clear
    TlsKey key;
    LastBytes greeting;  // said as soon as there is a connection
    LastBytes answer;    // of one who will listen; any other one is a refusal
    LastBytes word;      // said when the process has died

    bool is_for_nobody() const { return listener_size == 0; }
    const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&listener); }
};

// Of the sentinel: how it stands with whom it would tell.
struct SentinelReport {
    enum class State : std::uint32_t {
        connected,
        unreachable,  // it tries again
        refused,      // so was its key, or its greeting; it tries again
        closed,       // the connection is gone; it tries again
        not_first,    // it may not go before other work, and is none the less there
    };
    State state = State::unreachable;
    std::int32_t error = 0;  // errno, or 0

    bool operator==(const SentinelReport&) const = default;
};

}  // namespace fmvm::lockstep
