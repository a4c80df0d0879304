// SPDX-License-Identifier: Apache-2.0
#include "lockstep/wire/messages.h"

#include "base/field_list.h"

namespace fmvm::lockstep {

namespace {

constexpr std::uint32_t interval_ms_max = 3'600'000;

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

const char* name_of(JoinKind kind) {
    switch (kind) {
        case JoinKind::lifeline:
            return "lifeline";
        case JoinKind::sentinel:
            return "sentinel";
    }
    return "(unknown)";
}

void fields(auto& archive, FieldsOf<HelloMessage> auto& hello) {
    archive.raw(hello.vm);
    archive.u64(hello.generation);
    fields(archive, hello.shape);
    archive.u32(hello.heartbeat_ms);
    archive.u32(hello.lost_after_ms);
    archive.u32(hello.interval_ms);
    archive.enumeration(hello.block, BlockMode::copy);
    archive.flag(hello.durable);
    archive.list(hello.origins, {.element_bytes_min = sizeof(replay::LabelId)},
                 [](auto& element, auto& origin) { element.raw(origin); });
    archive.check(hello.origins.empty() || hello.origins.size() == hello.shape.disks.size());
    archive.check(hello.heartbeat_ms != 0 && hello.lost_after_ms > hello.heartbeat_ms &&
                  hello.lost_after_ms <= interval_ms_max);
    archive.check(hello.interval_ms != 0 && hello.interval_ms <= interval_ms_max);
}

void fields(auto& archive, FieldsOf<WelcomeMessage> auto& welcome) {
    archive.raw(welcome.session);
}

void fields(auto& archive, FieldsOf<RefuseMessage> auto& refuse) {
    archive.readable_text(refuse.reason, reason_bytes_max);
}

void fields(auto& archive, FieldsOf<StateMessage> auto& state) {
    archive.u64(state.epoch);
    archive.enumeration(state.encoding, StateEncoding::delta);
    archive.blob(state.image);
}

void fields(auto& archive, FieldsOf<OutputMessage> auto& output) {
    archive.u64(output.epoch);
    archive.u64(output.position);
    archive.blob(output.bytes, output_bytes_max);
    archive.check(output.position <= UINT64_MAX - output.bytes.size());
}

void fields(auto& archive, FieldsOf<CommitMessage> auto& commit) {
    archive.u64(commit.epoch);
    archive.u64(commit.page_records);
    archive.u64(commit.digest);
    archive.u64(commit.output_end);
    archive.u64(commit.output_shown);
    archive.check(commit.output_shown <= commit.output_end);
}

void fields(auto& archive, FieldsOf<AckMessage> auto& ack) {
    archive.u64(ack.epoch);
}

void fields(auto& archive, FieldsOf<HeartbeatMessage> auto& heartbeat) {
    archive.u64(heartbeat.output_shown);
}

void fields(auto& archive, FieldsOf<DigestsMessage> auto& digests) {
    archive.u64(digests.epoch);
    archive.u64(digests.first_page);
    archive.list(
        digests.digests,
        {.element_bytes_min = sizeof(std::uint64_t), .count_max = DigestsMessage::digests_max},
        [](auto& element, auto& digest) { element.u64(digest); });
}

void fields(auto& archive, FieldsOf<SwitchOverMessage> auto& switch_over) {
    archive.u64(switch_over.epoch);
}

void fields(auto& archive, FieldsOf<SwitchedMessage> auto& switched) {
    archive.u64(switched.generation);
}

void fields(auto& archive, FieldsOf<EndedMessage> auto& ended) {
    archive.readable_text(ended.reason, reason_bytes_max);
}

void fields(auto& /*archive*/, FieldsOf<AskGuestMessage> auto& /*ask*/) {}

void fields(auto& archive, FieldsOf<KnownGuestMessage> auto& known) {
    archive.enumeration(known.place, GuestPlace::followed);
    archive.raw(known.vm);
    archive.u64(known.generation);
}

void fields(auto& archive, FieldsOf<UnfitMessage> auto& unfit) {
    archive.readable_text(unfit.reason, reason_bytes_max);
}

void fields(auto& /*archive*/, FieldsOf<TryClaimMessage> auto& /*question*/) {}

void fields(auto& archive, FieldsOf<ClaimTriedMessage> auto& tried) {
    archive.readable_text(tried.why_not, reason_bytes_max);
}

void fields(auto& archive, FieldsOf<StaysMessage> auto& stays) {
    archive.readable_text(stays.reason, reason_bytes_max);
}

void fields(auto& archive, FieldsOf<JoinMessage> auto& join) {
    archive.enumeration(join.kind, JoinKind::sentinel);
    archive.raw(join.vm);
    archive.u64(join.generation);
    archive.raw(join.session);
}

void fields(auto& /*archive*/, FieldsOf<JoinedMessage> auto& /*joined*/) {}

FMVM_CODEC_BY_FIELDS(HelloMessage, "hello")
FMVM_CODEC_BY_FIELDS(WelcomeMessage, "welcome")
FMVM_CODEC_BY_FIELDS(RefuseMessage, "refuse")
FMVM_CODEC_BY_FIELDS(StateMessage, "state")
FMVM_CODEC_BY_FIELDS(OutputMessage, "output")
FMVM_CODEC_BY_FIELDS(CommitMessage, "commit")
FMVM_CODEC_BY_FIELDS(AckMessage, "ack")
FMVM_CODEC_BY_FIELDS(HeartbeatMessage, "heartbeat")
FMVM_CODEC_BY_FIELDS(DigestsMessage, "digests")
FMVM_CODEC_BY_FIELDS(SwitchOverMessage, "switch-over")
FMVM_CODEC_BY_FIELDS(SwitchedMessage, "switched")
FMVM_CODEC_BY_FIELDS(EndedMessage, "ended")
FMVM_CODEC_BY_FIELDS(UnfitMessage, "unfit")
FMVM_CODEC_BY_FIELDS(TryClaimMessage, "try claim")
FMVM_CODEC_BY_FIELDS(ClaimTriedMessage, "claim tried")
FMVM_CODEC_BY_FIELDS(StaysMessage, "stays")
FMVM_CODEC_BY_FIELDS(AskGuestMessage, "ask-guest")
FMVM_CODEC_BY_FIELDS(KnownGuestMessage, "known-guest")
FMVM_CODEC_BY_FIELDS(JoinMessage, "join")
FMVM_CODEC_BY_FIELDS(JoinedMessage, "joined")

bool is_sign_of_life(const Frame& frame) {
    if (frame.type != FrameType::heartbeat) return false;
    Result<HeartbeatMessage> heartbeat = HeartbeatMessage::decode(frame.body);
    return heartbeat.ok() && heartbeat->output_shown == 0;
}

}  // namespace fmvm::lockstep
