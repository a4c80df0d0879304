// SPDX-License-Identifier: Apache-2.0
// What the network cards of a backup's primary have taken from outside lately. The committed state
// says how many packets each card had taken by then; a guest that goes on from it gets what is here
// behind that. Bounded: the oldest go first.
//
// Threads: the replication thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "lockstep/wire/packet_message.h"

namespace fmvm::lockstep {

class PacketsAhead {
  public:
    // An error means that the peer breaks the protocol: positions of a card count up.
    Result<void> add(PacketMessage message);
    // Those of a card from this position on, the oldest first; until the next add().
    std::vector<std::span<const std::uint8_t>> of(std::size_t card, std::uint64_t position) const;

    static constexpr std::size_t card_bytes_max = 1 * mib;

  private:
    struct Card {
        std::deque<PacketMessage> packets;
        std::size_t bytes = 0;
    };
    std::array<Card, PacketMessage::cards_max> cards_;
};

}  // namespace fmvm::lockstep
