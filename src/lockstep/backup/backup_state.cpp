// SPDX-License-Identifier: Apache-2.0
#include "lockstep/backup/backup_state.h"

namespace fmvm::lockstep {

namespace {

using enum BackupState;

constexpr Transition<BackupState> transitions[] = {
    {listening, greeting},      {greeting, listening},      {greeting, receiving},
    {receiving, following},     {receiving, discarding},    {following, awaiting_flush},
    {following, deciding},      {following, discarding},    {following, finished},
    {awaiting_flush, deciding}, {deciding, awaiting_disks}, {deciding, discarding},
    {awaiting_disks, running},  {awaiting_disks, finished}, {discarding, listening},
};

constexpr StateSet<BackupState> copying{receiving, following};

constexpr FittingMessage<BackupState> fitting_messages[] = {
    {FrameType::hello, {greeting}},
    {FrameType::ask_guest, {greeting}},
    {FrameType::refuse, {receiving, following, awaiting_flush, deciding}},
    {FrameType::pages, copying},
    {FrameType::state, copying},
    {FrameType::output, copying},
    {FrameType::commit, copying},
    {FrameType::heartbeat, {receiving, following, awaiting_flush, deciding}},
    {FrameType::digests, copying},
    {FrameType::switch_over, {following}},
    {FrameType::ended, {following}},
    {FrameType::block_log, copying},
    {FrameType::disk_begin, {receiving}},
    {FrameType::disk_digests, {receiving}},
    {FrameType::disk_blocks, {receiving}},
    {FrameType::disk_serial, copying},
    {FrameType::disk_check, {following}},
    {FrameType::try_claim, {following}},
    {FrameType::stays, {following}},
    {FrameType::packet, {receiving, following, awaiting_flush, deciding}},
};

bool is_sent_by_a_primary(FrameType type) {
    return std::ranges::any_of(fitting_messages,
                               [type](const auto& message) { return message.type == type; });
}

}  // namespace

const char* name_of(BackupState state) {
    switch (state) {
        case listening:
            return "listening";
        case greeting:
            return "greeting";
        case receiving:
            return "receiving";
        case following:
            return "following";
        case awaiting_flush:
            return "awaiting flush";
        case deciding:
            return "deciding";
        case awaiting_disks:
            return "awaiting disks";
        case discarding:
            return "discarding";
        case running:
            return "running";
        case finished:
            return "finished";
    }
    return "unknown";
}

std::span<const Transition<BackupState>> backup_transitions() {
    return transitions;
}

std::span<const FittingMessage<BackupState>> messages_to_backup() {
    return fitting_messages;
}

const char* why_not_listening(BackupState state) {
    FMVM_CHECK(state != listening);
    switch (state) {
        case running:
        case finished:
            return "the guest runs here; this is no backup any more";
        case awaiting_disks:
            return "the guest is being taken over here; this is no backup any more";
        case discarding:
            return "this backup's disks still work on what the primary before sent; try again";
        default:
            return "another primary is connected";
    }
}

GuestPlace place_in(BackupState state) {
    switch (state) {
        case receiving:
        case following:
        case awaiting_flush:
            return GuestPlace::followed;
        case deciding:
        case awaiting_disks:
        case running:
            return GuestPlace::here;
        default:
            return GuestPlace::nowhere;
    }
}

Result<void> check_turn(FrameType type, BackupState state) {
    if (fits(messages_to_backup(), type, state)) return {};
    if (state == greeting) return Error("the first message must be a hello");
    if (state == awaiting_flush || state == deciding)
        return Error("a message after the switch-over");
    if (is_sent_by_a_primary(type)) {
        return make_error("its message \"{}\" does not fit: this backup is {}", name_of(type),
                          name_of(state));
    }
    if (is_optional(type) && copying.contains(state)) return {};
    return make_error("a message of type {}, which a primary does not send",
                      static_cast<unsigned>(type));
}

}  // namespace fmvm::lockstep
