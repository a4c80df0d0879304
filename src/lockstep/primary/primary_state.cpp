// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/primary_state.h"

#include <algorithm>

namespace fmvm::lockstep {

namespace {

using enum PrimaryState;

// clang-format off
constexpr Transition<PrimaryState> transitions[] = {
    {alone, greeting},          // a connection was made
    {alone, finished},          // the guest has ended; superseded
    {greeting, copying},        // welcome
    {greeting, alone},          // the peer is lost
    {greeting, finished},       // the guest has ended; superseded
    {copying, following},       // the first cut
    {copying, alone},           // the peer is lost
    {copying, finished},        // the guest has ended; superseded
    {following, handing_over},  // switchover: the last epoch is acknowledged
    {following, deciding},      // the peer is lost
    {following, alone},         // the peer is lost, and no commit was sent to it yet
    {following, finished},      // the last epoch is acknowledged; superseded; stop; a cut failed
    {handing_over, deciding},   // switched; the peer is lost, or does not take over in time
    {handing_over, finished},   // switched, and there is no arbiter; stop
    {deciding, alone},          // the claim is won
    {deciding, finished},       // the claim is lost; or it is won, but the guest has ended
};
// clang-format on

constexpr StateSet<PrimaryState> linked{greeting, copying, following, handing_over};
constexpr StateSet<PrimaryState> in_step{following, handing_over};

constexpr FittingMessage<PrimaryState> messages[] = {
    {FrameType::welcome, {greeting}},
    {FrameType::known_guest, {greeting}},  // a refusal follows
    {FrameType::ack, {following}},
    {FrameType::heartbeat, linked},
    {FrameType::refuse, linked},
    {FrameType::switched, {handing_over}},
    {FrameType::ask_switch_over, in_step},
    {FrameType::ask_stay, in_step},
    {FrameType::disk_known, {copying}},
    {FrameType::disk_ready, {copying}},
    {FrameType::disk_wanted, {copying}},
    {FrameType::disk_done, {copying}},
    {FrameType::disk_serial, {copying, following, handing_over}},
    {FrameType::disk_checked, in_step},  // also answers to a comparison that has ended
    {FrameType::unfit, {copying, following, handing_over}},
    {FrameType::claim_tried, in_step},  // also answers to a question that was given up
};

}  // namespace

const char* name_of(PrimaryState state) {
    switch (state) {
        case alone:
            return "alone";
        case greeting:
            return "greeting";
        case copying:
            return "copying";
        case following:
            return "following";
        case handing_over:
            return "handing over";
        case deciding:
            return "deciding";
        case finished:
            return "finished";
    }
    return "";
}

std::span<const Transition<PrimaryState>> primary_transitions() {
    return transitions;
}

std::span<const FittingMessage<PrimaryState>> primary_messages() {
    return messages;
}

Result<void> check_turn(FrameType type, PrimaryState state) {
    if (is_optional(type) || fits(primary_messages(), type, state)) return {};
    if (std::ranges::find(messages, type, &FittingMessage<PrimaryState>::type) ==
        std::end(messages))
        return make_error("it sent a message of type {}, which a backup does not send",
                          static_cast<unsigned>(type));
    return make_error("it sent \"{}\" out of turn: this side is {}", name_of(type), name_of(state));
}

}  // namespace fmvm::lockstep
