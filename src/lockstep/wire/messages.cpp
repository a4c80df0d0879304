// SPDX-License-Identifier: Apache-2.0
#include "lockstep/wire/messages.h"

#include <algorithm>

#include "base/byte_codec.h"
#include "base/checked_message.h"
#include "base/text.h"

namespace fmvm::lockstep {

namespace {

// Reasons are shown to people and written to logs: they neither flood nor drive a terminal.
void put_reason(ByteWriter& out, const std::string& reason) {
    out.text(without_controls(reason.substr(0, reason_bytes_max)));
}

std::string take_reason(ByteReader& in) {
    std::string text = in.text(reason_bytes_max);
    if (std::ranges::any_of(text, is_control)) in.fail();
    return text;
}

}  // namespace

const char* name_of(BlockMode mode) {
    switch (mode) {
        case BlockMode::none:
            return "(no disks)";
        case BlockMode::shared:
            return "shared";
        case BlockMode::replay:
            return "replay";
        case BlockMode::copy:
            return "copy";
    }
    return "(unknown)";
}

Body HelloMessage::encode() const {
    ByteWriter out;
    out.raw(vm);
    out.u64(generation);
    shape.encode(out);
    out.u32(heartbeat_ms);
    out.u32(lost_after_ms);
    out.u8(static_cast<std::uint8_t>(block));
    out.flag(durable);
    return out.take();
}

Result<HelloMessage> HelloMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    HelloMessage message;
    const auto vm = in.raw(message.vm.size());
    std::ranges::copy(vm, message.vm.begin());
    message.generation = in.u64();
    message.shape = MachineShape::decode(in);
    message.heartbeat_ms = in.u32();
    message.lost_after_ms = in.u32();
    const std::uint8_t block = in.u8();
    if (block > static_cast<std::uint8_t>(BlockMode::copy)) in.fail();
    message.block = static_cast<BlockMode>(block);
    message.durable = in.flag();
    constexpr std::uint32_t interval_ms_max = 3'600'000;
    if (message.heartbeat_ms == 0 || message.lost_after_ms <= message.heartbeat_ms ||
        message.lost_after_ms > interval_ms_max) {
        in.fail();
    }
    return checked(std::move(message), in, "hello");
}

Result<WelcomeMessage> WelcomeMessage::decode(std::span<const std::uint8_t> body) {
    return checked(WelcomeMessage{}, ByteReader(body), "welcome");
}

Body RefuseMessage::encode() const {
    ByteWriter out;
    put_reason(out, reason);
    return out.take();
}

Result<RefuseMessage> RefuseMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    RefuseMessage message{take_reason(in)};
    return checked(std::move(message), in, "refuse");
}

Body StateMessage::encode() const {
    ByteWriter out;
    out.u64(epoch);
    out.u8(static_cast<std::uint8_t>(encoding));
    out.blob(image);
    return out.take();
}

Result<StateMessage> StateMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    StateMessage message;
    message.epoch = in.u64();
    const std::uint8_t encoding = in.u8();
    if (encoding > static_cast<std::uint8_t>(StateEncoding::delta)) in.fail();
    message.encoding = static_cast<StateEncoding>(encoding);
    const auto image = in.blob();
    message.image.assign(image.begin(), image.end());
    return checked(std::move(message), in, "state");
}

Body OutputMessage::encode() const {
    ByteWriter out;
    out.u64(epoch);
    out.u64(position);
    out.blob(bytes);
    return out.take();
}

Result<OutputMessage> OutputMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    OutputMessage message;
    message.epoch = in.u64();
    message.position = in.u64();
    const auto bytes = in.blob(output_bytes_max);
    message.bytes.assign(bytes.begin(), bytes.end());
    if (message.position > UINT64_MAX - bytes.size()) in.fail();
    return checked(std::move(message), in, "output");
}

Body CommitMessage::encode() const {
    ByteWriter out;
    out.u64(epoch);
    out.u64(page_records);
    out.u64(digest);
    out.u64(output_end);
    out.u64(output_shown);
    return out.take();
}

Result<CommitMessage> CommitMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    CommitMessage message;
    message.epoch = in.u64();
    message.page_records = in.u64();
    message.digest = in.u64();
    message.output_end = in.u64();
    message.output_shown = in.u64();
    if (message.output_shown > message.output_end) in.fail();
    return checked(message, in, "commit");
}

Body AckMessage::encode() const {
    ByteWriter out;
    out.u64(epoch);
    return out.take();
}

Result<AckMessage> AckMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    AckMessage message{in.u64()};
    return checked(message, in, "ack");
}

Body HeartbeatMessage::encode() const {
    ByteWriter out;
    out.u64(output_shown);
    return out.take();
}

Result<HeartbeatMessage> HeartbeatMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    HeartbeatMessage message{in.u64()};
    return checked(message, in, "heartbeat");
}

bool is_sign_of_life(const Frame& frame) {
    if (frame.type != FrameType::heartbeat) return false;
    Result<HeartbeatMessage> heartbeat = HeartbeatMessage::decode(frame.body);
    return heartbeat.ok() && heartbeat->output_shown == 0;
}

Body DigestsMessage::encode() const {
    ByteWriter out;
    out.u64(epoch);
    out.u64(first_page);
    out.u32(static_cast<std::uint32_t>(digests.size()));
    for (const std::uint64_t digest : digests)
        out.u64(digest);
    return out.take();
}

Result<DigestsMessage> DigestsMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    DigestsMessage message;
    message.epoch = in.u64();
    message.first_page = in.u64();
    const std::uint32_t count = in.count(sizeof(std::uint64_t));
    if (count > digests_max) in.fail();
    for (std::uint32_t i = 0; i < count && in.ok(); ++i)
        message.digests.push_back(in.u64());
    return checked(std::move(message), in, "digests");
}

Body SwitchOverMessage::encode() const {
    ByteWriter out;
    out.u64(epoch);
    return out.take();
}

Result<SwitchOverMessage> SwitchOverMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    SwitchOverMessage message{in.u64()};
    return checked(message, in, "switch-over");
}

Body SwitchedMessage::encode() const {
    ByteWriter out;
    out.u64(generation);
    return out.take();
}

Result<SwitchedMessage> SwitchedMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    SwitchedMessage message{in.u64()};
    return checked(message, in, "switched");
}

Body EndedMessage::encode() const {
    ByteWriter out;
    put_reason(out, reason);
    return out.take();
}

Result<EndedMessage> EndedMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    EndedMessage message{take_reason(in)};
    return checked(std::move(message), in, "ended");
}

Body UnfitMessage::encode() const {
    ByteWriter out;
    put_reason(out, reason);
    return out.take();
}

Result<UnfitMessage> UnfitMessage::decode(std::span<const std::uint8_t> body) {
    ByteReader in(body);
    UnfitMessage message{take_reason(in)};
    return checked(std::move(message), in, "unfit");
}

}  // namespace fmvm::lockstep
