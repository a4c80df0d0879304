// SPDX-License-Identifier: Apache-2.0
// The states of a primary: the ways between them, the messages that a backup may send in each, and
// the timers that run in them. docs/protocol.md ("The primary") explains states and messages and
// shows the same tables.
#pragma once

#include <span>

#include "base/result.h"
#include "base/state_machine.h"
#include "base/timers.h"
#include "lockstep/wire/fitting_message.h"

namespace fmvm::lockstep {

enum class PrimaryState { alone, greeting, copying, following, handing_over, deciding, finished };

// As docs/protocol.md names it.
const char* name_of(PrimaryState state);

std::span<const Transition<PrimaryState>> primary_transitions();
std::span<const FittingMessage<PrimaryState>> primary_messages();

// In these states, and in no others, there is a connection to a peer.
constexpr bool has_link(PrimaryState state) {
    return state == PrimaryState::greeting || state == PrimaryState::copying ||
           state == PrimaryState::following || state == PrimaryState::handing_over;
}

// Whether a backup may send a message of this type to a primary in this state. The error is the
// sentence with which the primary refuses that peer. Optional types fit every state.
Result<void> check_turn(FrameType type, PrimaryState state);

// The moments at which a primary acts by itself. Each belongs to the states that are named, and is
// cleared when the primary leaves the state. (When the work on a connection goes on: Protection;
// when a peer is lost: PeerWatch; when a claim is repeated: Claiming; until when a switchover may
// begin: SwitchOver.)
enum class PrimaryTimer {
    next_slice,       // copying, following: work is left, and others have their turn
    take_over_limit,  // handing over: the guest stands no longer than this
};
using PrimaryTimers = Timers<PrimaryTimer, 2>;

}  // namespace fmvm::lockstep
