// SPDX-License-Identifier: Apache-2.0
#include "replay/scrub/scrub_messages.h"

#include "base/byte_codec.h"
#include "base/checked_message.h"

namespace fmvm::replay {

std::vector<std::uint8_t> CheckMessage::encode() const {
    ByteWriter out;
    out.u64(number);
    out.u64(epoch);
    out.u8(disk);
    put(out, blocks);
    return out.take();
}

Result<CheckMessage> CheckMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    CheckMessage message;
    message.number = in.u64();
    message.epoch = in.u64();
    message.disk = in.u8();
    const std::uint32_t count = in.count(2 * sizeof(std::uint64_t));
    if (count == 0 || count > check_blocks_max) in.fail();
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
        const BlockIndex block = in.u64();
        message.blocks.push_back({block, in.u64()});
    }
    return checked(std::move(message), in, "check");
}

std::vector<std::uint8_t> CheckedMessage::encode() const {
    ByteWriter out;
    out.u64(number);
    return out.take();
}

Result<CheckedMessage> CheckedMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    const CheckedMessage message{in.u64()};
    return checked(message, in, "checked");
}

}  // namespace fmvm::replay
