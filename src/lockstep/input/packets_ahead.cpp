// SPDX-License-Identifier: Apache-2.0
#include "lockstep/input/packets_ahead.h"

#include <utility>

#include "base/check.h"

namespace fmvm::lockstep {

Result<void> PacketsAhead::add(PacketMessage message) {
    Card& card = cards_[message.card];
    if (!card.packets.empty() && message.position <= card.packets.back().position)
        return Error("it forwarded a packet out of turn");
    card.bytes += message.packet.size();
    card.packets.push_back(std::move(message));
    while (card.bytes > card_bytes_max) {
        card.bytes -= card.packets.front().packet.size();
        card.packets.pop_front();
    }
    return {};
}

std::vector<std::span<const std::uint8_t>> PacketsAhead::of(std::size_t card,
                                                            std::uint64_t position) const {
    FMVM_CHECK(card < cards_.size());
    std::vector<std::span<const std::uint8_t>> packets;
    for (const PacketMessage& message : cards_[card].packets) {
        if (message.position >= position) packets.emplace_back(message.packet);
    }
    return packets;
}

}  // namespace fmvm::lockstep
