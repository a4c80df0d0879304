// SPDX-License-Identifier: Apache-2.0
#include "lockstep/input/packet_forwarder.h"

#include <utility>

namespace fmvm::lockstep {

void PacketForwarder::took(std::uint8_t card, std::uint64_t position,
                           std::span<const std::uint8_t> packet) {
    if (!is_on_) return;
    bool begins_to_wait = false;
    {
        const Lock lock(mutex_);
        if (packet.size() > waiting_bytes_max - waiting_bytes_) return;
        begins_to_wait = waiting_.empty();
        waiting_bytes_ += packet.size();
        waiting_.push_back({card, position, {packet.begin(), packet.end()}});
    }
    if (begins_to_wait && waiting_handler_) waiting_handler_();
}

void PacketForwarder::end() {
    is_on_ = false;
    collect();
}

void PacketForwarder::pull() const {
    for (const std::function<void()>& take_in : cards_)
        take_in();
}

std::vector<PacketMessage> PacketForwarder::collect() {
    const Lock lock(mutex_);
    waiting_bytes_ = 0;
    return std::exchange(waiting_, {});
}

}  // namespace fmvm::lockstep
