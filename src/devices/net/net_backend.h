// SPDX-License-Identifier: Apache-2.0
// Where a guest's packets go to and come from: a TAP, a socket, or a decorator around another
// backend (a gate that holds what is sent). Threads: the loop thread, unless it says otherwise.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/buffer.h"
#include "devices/net/net_header.h"

namespace fmvm {

// A header (net_header.h) and the Ethernet frame behind it.
using NetPacket = Buffer;

class NetBackend {
  public:
    virtual ~NetBackend() = default;

    // Of host_offload_features and guest_offload_features. Constant; any thread.
    virtual std::uint64_t offloads() const = 0;
    // Something plugged in at the other end.
    virtual bool link_up() const = 0;

    // Called whenever there may be more than the user has seen: room, packets that have left or
    // come in, another state of the link. It only looks and takes. Set before the loop runs.
    virtual void on_change(std::function<void()> handler) = 0;

    // Whether send() takes one more packet.
    virtual bool has_room() const = 0;
    // Takes a packet whose header was checked. It leaves at some time, in order.
    virtual void send(NetPacket packet) = 0;
    // Asked right before each write to the outside, and must not wait: whether this side may still
    // speak. If not, what was to be written waits until ask_again() tries once more. Set before the
    // loop runs, or while it stands.
    virtual void require_permit(std::function<bool()> permit) = 0;
    virtual void ask_again() = 0;
    // How many of those taken have left since the last call. A packet that cannot leave and never
    // will (nothing is plugged in, say) counts as left: it is lost, as packets may be.
    virtual std::size_t take_left() = 0;
    // Forgets what has not left. take_left() says no more of it. For a device that is reset.
    virtual void withdraw() = 0;

    // Puts the next packet from outside there, which has room for net_packet_size_max bytes.
    // Returns its size; 0: there is none. What is not taken waits outside, where it is bounded.
    virtual std::size_t receive(std::span<std::uint8_t> packet) = 0;
    // What the headers of packets to come may ask of the guest: of guest_offload_features.
    virtual void accept_offloads(std::uint64_t offloads) = 0;

    // Whether the guest is at this end; at first it is. While it is not, the other end sees no link
    // where it can, and what comes in is dropped. Also while the loop stands.
    virtual void plug(bool in) = 0;
    // A frame of the host's own, about the guest: it leaves in order with the guest's packets, and
    // take_left() knows nothing of it. False: not taken, because there is no room.
    virtual bool say(std::span<const std::uint8_t> frame) = 0;
};

}  // namespace fmvm
