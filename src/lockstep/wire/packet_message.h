// SPDX-License-Identifier: Apache-2.0
// A packet that a network card of the primary's has taken from outside (docs/network.md).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "lockstep/wire/frame_codec.h"
#include "vmm/board/layout.h"

namespace fmvm::lockstep {

struct PacketMessage {
    std::uint8_t card = 0;             // in the order of the hello
    std::uint64_t position = 0;        // how many packets the card had taken before it
    std::vector<std::uint8_t> packet;  // its header, and the Ethernet frame

    static constexpr FrameType type = FrameType::packet;
    static constexpr std::uint8_t cards_max = layout::virtio_device_count_max;
    std::vector<std::uint8_t> encode() const;
    static Result<PacketMessage> decode(std::span<const std::uint8_t> body);
};

}  // namespace fmvm::lockstep
