// SPDX-License-Identifier: Apache-2.0
#include "lockstep/wire/packet_message.h"

#include "base/field_list.h"
#include "devices/net/net_header.h"

namespace fmvm::lockstep {

void fields(auto& archive, FieldsOf<PacketMessage> auto& message) {
    archive.u8(message.card);
    archive.u64(message.position);
    archive.blob(message.packet, net_packet_size_max);
    archive.check(message.card < PacketMessage::cards_max);
    archive.check(message.position != UINT64_MAX);
    archive.check(message.packet.size() >= net_header_size + ethernet_header_size);
}

FMVM_CODEC_BY_FIELDS(PacketMessage, "packet")

}  // namespace fmvm::lockstep
