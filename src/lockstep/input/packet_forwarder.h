// SPDX-License-Identifier: Apache-2.0
// What a primary's network cards take from outside, on its way to the backup. A takeover goes on
// from the last committed epoch, in which the guest has not got the newest packets yet; the backup
// gives them to it (packets_ahead.h).
//
// It waits for nothing: a packet that finds too much waiting is not forwarded, and then a takeover
// may lose it, as a network may. Between end() and begin() nothing is kept.
//
// Threads: as each call says.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "base/units.h"
#include "lockstep/wire/packet_message.h"

namespace fmvm::lockstep {

class PacketForwarder {
  public:
    // Loop thread, or any while the loop stands: the card has taken a packet.
    void took(std::uint8_t card, std::uint64_t position, std::span<const std::uint8_t> packet);

    // Called in took() when something begins to wait. Set while the machine stands.
    void on_waiting(std::function<void()> handler) { waiting_handler_ = std::move(handler); }
    // Has a card take what is outside, though the guest stands: pull() calls it. Set before use.
    void add_card(std::function<void()> take_in) { cards_.push_back(std::move(take_in)); }

    // Replication thread. A backup may take over from now on; until nobody may any more.
    void begin() { is_on_ = true; }
    void end();
    // While the loop stands: cards take what is outside.
    void pull() const;
    // What waits, the oldest first.
    std::vector<PacketMessage> collect();

    static constexpr std::size_t waiting_bytes_max = 1 * mib;

  private:
    std::function<void()> waiting_handler_;
    std::vector<std::function<void()>> cards_;
    std::atomic<bool> is_on_{false};
    Mutex mutex_;
    std::vector<PacketMessage> waiting_ FMVM_GUARDED_BY(mutex_);
    std::size_t waiting_bytes_ FMVM_GUARDED_BY(mutex_) = 0;
};

}  // namespace fmvm::lockstep
